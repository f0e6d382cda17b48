"""What a page sends, as JSON, in; checked values out."""

import base64
import binascii
import dataclasses
import io
from typing import Any, Literal

import numpy as np
from PIL import Image

from jvae.data.decode import read_image
from jvae.errors import InputError
from jvae.io.fields import build, read_object
from jvae.latent.kinds import Kind
from jvae.latent.trajectories import Trajectory

Where = Literal["store", "file", "photo", "sample"]
WHAT = "what the page sent"
FURTHEST = 20.0  # standard deviations


@dataclasses.dataclass(frozen=True)
class Start:
    """A face that edits start from.

    Attributes:
      name: to call it: its image_id, the name of its file, the seed of a sample.
      source: where it is from; a "photo" is painted onto as a whole, a "file" is a picture taken as it is framed.
      z: its latent, d numbers.
      model: digest of the model whose latent it is.
      image: as the model sees it, a PNG in base64; "" of a sample, which has none.
      photo: name of the photograph that the server keeps.
      eyes: x y x y in it, in pixels.
    """

    name: str
    source: Where
    z: tuple[float, ...]
    model: str = ""
    image: str = ""
    photo: str = ""
    eyes: tuple[float, ...] = ()

    def latent(self, d: int, model: str) -> np.ndarray:
        """`z` as [d] float32.

        Raises:
          InputError: they are not d finite numbers, or of another model: a page stays open while a run trains on.
        """
        z = np.array(self.z, np.float32)
        if z.shape != (d,) or not np.isfinite(z).all() or self.model != model:
            raise InputError(f"the latent of {self.name} is not of this run: choose the face anew")
        return z

    def pixels(self, size: int) -> np.ndarray | None:
        """`image`, uint8 [size,size,3]; None of a sample.

        Raises:
          InputError: it is no such picture.
        """
        if not self.image:
            return None
        try:
            found = read_image(base64.b64decode(self.image.encode("ascii", "replace"), validate=True), self.name)
        except binascii.Error:
            found = np.zeros(0)
        if found.shape != (size, size, 3):
            raise InputError(f"the picture of {self.name} is not of this run: choose the face anew")
        return found


@dataclasses.dataclass(frozen=True)
class Look:
    """What is done to a face.

    Attributes:
      factors: attribute -> standard deviations to move by, one after the other.
      kind: of the vectors.
      balance: attributes by whose groups "balanced" averages.
      keep: attributes that are held still.
      paint: whether only the change is painted, onto the original, where there is one.
      t: place on the way to another face, if there is one, from 0 to 1.
      trajectory: shape of that way.
      even: whether an animation of the way goes at an even speed.
    """

    factors: dict[str, float] = dataclasses.field(default_factory=dict)
    kind: str = "difference"
    balance: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    paint: bool = True
    t: float = 0.0
    trajectory: Trajectory = "lerp"
    even: bool = False

    def __post_init__(self) -> None:
        if not all(abs(factor) <= FURTHEST for factor in self.factors.values()):  # nor is nan
            raise InputError(f"factors must lie within {FURTHEST:g} standard deviations")
        if not 0 <= self.t <= 1:
            raise InputError(f"t={self.t} must lie between 0 and 1")

    @property
    def of_kind(self) -> Kind:
        """The kind of the vectors."""
        return Kind(self.kind, self.balance if self.kind == "balanced" else (), self.keep)

    @property
    def moved(self) -> dict[str, float]:
        """The factors that are not 0."""
        return {name: factor for name, factor in self.factors.items() if factor}


@dataclasses.dataclass(frozen=True)
class Ask:
    """A face, what is done to it, and the face that it is morphed into, if any."""

    start: Start
    look: Look
    end: Start | None = None


def read_ask(body: bytes) -> tuple[Ask, dict[str, Any]]:
    """An `Ask`, and the other fields that were sent with it.

    Raises:
      InputError: it is none.
    """
    fields = read_object(body, WHAT)
    start, look, end = (fields.pop(name, None) for name in ("start", "look", "end"))
    if not isinstance(start, dict) or not isinstance(look, dict):
        raise InputError(f"{WHAT} names no face and no look")
    ends = build(Start, end, WHAT) if isinstance(end, dict) else None
    return Ask(build(Start, start, WHAT), build(Look, look, WHAT), ends), fields


def png(pixels: np.ndarray, icc_profile: bytes = b"") -> bytes:
    """Pixels uint8 [h,w,3] as a PNG, with a colour profile where there is one."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG", compress_level=1, icc_profile=icc_profile or None)
    return out.getvalue()


def jpeg(pixels: np.ndarray, icc_profile: bytes = b"") -> bytes:
    """The same as a JPEG to look at: a fifteenth of a PNG's time."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="JPEG", quality=95, subsampling=0, icc_profile=icc_profile or None)
    return out.getvalue()


def text(data: bytes) -> str:
    """Bytes in base64."""
    return base64.b64encode(data).decode()
