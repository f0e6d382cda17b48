"""Photographs and pictures of the same people in; whether one knows each from strangers, out."""

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from PIL import Image
from scipy.spatial.distance import cdist

from jvae.data.decode import crop_box
from jvae.data.source import spread
from jvae.errors import InputError, InputWarning, unknown
from jvae.evaluate.edits import FACTORS, AttributeJudge, Edit
from jvae.latent.vectors import AttributeVectors
from jvae.models.model import to_float
from jvae.photo.frame import EYES, HEIGHT, WIDTH
from jvae.photo.landmarks import CHIP, dlib_descriptors, dlib_is_there, import_dlib
from jvae.render.residual import painted
from jvae.render.tiles import to_uint8
from jvae.runtime.mesh import map_rows

PHOTOGRAPHS = 600  # at most, among which a face's own is looked for
EDITED = 16  # faces, at most, of each edit
DESCRIPTORS = ("auto", "dlib", "judge", "none")

_CHIP_EYES = (47.7 + 47.1j, 100.3 + 47.1j)  # where dlib has the eyes in what it describes

Descriptor = Callable[[np.ndarray], np.ndarray]  # images [n,h,w,3], uint8 or float in [0,1] -> [n,k], near if alike


class Kept(NamedTuple):
    """Whether an attribute's edit leaves people who they are.

    Attributes:
      faces: how many were edited.
      factor: by which, in standard deviations along the vector.
      before: share of their reconstructions that are of the same person, see `same_person`; 1 where edits are painted
        onto the photographs, which are the unedited pictures then.
      after: likewise, of the edited pictures.
    """

    faces: int
    factor: float
    before: float
    after: float


class Identity(NamedTuple):
    """Whether people know their reconstructions.

    Attributes:
      descriptor: whose it is that says how alike two faces are.
      photographs: how many there are.
      same: share of reconstructions that are of the same person, see `same_person`.
      rank_one: share to which their own photograph is the nearest of all.
      median_rank: the middle one of the places of their own among all photographs by nearness, 1 for the nearest.
      edits: kind of vector -> attribute -> what its edit does to that.
    """

    descriptor: str
    photographs: int
    same: float
    rank_one: float
    median_rank: float
    edits: dict[Any, dict[str, Kept]]

    def line(self) -> str:
        """It without the edits, in words."""
        return (
            f"identity by {self.descriptor}, among {self.photographs:,} photographs: same person "
            f"{self.same:.3f} (nearer to their own than 99 % of strangers are), the right one nearest "
            f"{self.rank_one:.3f}, median rank {self.median_rank:g}"
        )


def ranks(pictures: np.ndarray, photographs: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
    """The places of pictures' own photographs among all photographs, by nearness: int [n], 1 for the nearest.

    One that is as near as another comes after it, and one whose distance is not a number comes last.

    Args:
      pictures: [n,k], descriptors of pictures.
      photographs: [m,k], of photographs, each of another person.
      own: int [n], which of them is a picture's own; None: there are as many, in the same order.

    Raises:
      InputError: the shapes do not fit.
    """
    own = np.arange(len(pictures)) if own is None else np.asarray(own)
    if pictures.ndim != 2 or photographs.shape[1:] != pictures.shape[1:] or own.shape != (len(pictures),):
        raise InputError(
            f"descriptors must be [n,k] and [m,k] and own [n], not {pictures.shape}, {photographs.shape}, {own.shape}"
        )
    if len(own) and not 0 <= own.min() <= own.max() < len(photographs):
        raise InputError(f"own names photographs {own.min()} to {own.max()}, and there are {len(photographs)}")
    apart = cdist(pictures, photographs)
    farther = apart > np.take_along_axis(apart, own[:, None], 1)
    return len(photographs) - farther.sum(1)


def same_person(places: np.ndarray, photographs: int) -> float:
    """The share of pictures nearer to their own photograph than 99 % of strangers' photographs are.

    By rank, so that no threshold has to suit every descriptor. Every other photograph counts as a stranger's: where a
    person is in the data more than once, as in CelebA, the share comes out a little low. Fewer than 101 photographs
    leave no stranger who may be nearer.

    Args:
      places: int [n], see `ranks`.
      photographs: number of them all.
    """
    return float(np.mean(100 * (places - 1) <= photographs - 1)) if len(places) else float("nan")


def rank_one(places: np.ndarray) -> float:
    """The share of pictures to which their own photograph is the nearest, by `ranks`."""
    return float(np.mean(places == 1)) if len(places) else float("nan")


def find_descriptor(
    name: str, judge: AttributeJudge, crop: str, mesh: jax.sharding.Mesh, *, source: str = "CelebA"
) -> tuple[str, Descriptor]:
    """A descriptor of faces, and whose it is, in words.

    Args:
      name: "dlib"; "judge" for the judge's features; "auto" for dlib's where the extra identity is installed and the
        source is one of CelebA's or of rendered faces, whose eyes are where it is told that they are.
      judge: judge of images of that size.
      crop: how the images are cut, one of `jvae.data.decode.CROPS`.
      mesh: devices that the judge works on.
      source: what the images are, as a store's `source` says it.

    Raises:
      InputError: another name, or "dlib" and the extra identity is not installed.

    Warns:
      InputWarning: "dlib" and the images are of another source, so that their eyes may be elsewhere.
    """
    if name not in DESCRIPTORS[:3]:
        raise unknown("descriptor", name, DESCRIPTORS)
    framed = source.startswith(("CelebA", "rendered"))
    if name == "judge" or (name == "auto" and not (framed and dlib_is_there())):
        return "the judge's features", functools.partial(_by_judge, judge, mesh)
    import_dlib()
    if not framed:
        warnings.warn(
            f"dlib is shown the place where CelebA's frame has the face, and the images are of another source "
            f"({source}): unless their eyes are there too, --identity judge says more",
            InputWarning,
            stacklevel=3,
        )
    return "dlib's descriptor", functools.partial(_by_dlib, crop)


def score_identity(
    model: Any,
    describe: tuple[str, Descriptor],
    images: np.ndarray,
    z: np.ndarray,
    reconstructions: np.ndarray,
    attrs: np.ndarray,
    edits: Mapping[Any, tuple[AttributeVectors, Mapping[str, Edit]]],
    *,
    paint: bool = False,
) -> Identity:
    """How far reconstructions and edits stay the people whom photographs show.

    An attribute is edited in faces without it, those spread evenly, by the factor at which its edit lands.

    Args:
      model: decodes, a `jvae.trained.TrainedModel`.
      describe: see `find_descriptor`.
      images: uint8 [n,h,w,3], photographs.
      z: [n,d], their latents.
      reconstructions: uint8 [n,h,w,3].
      attrs: [n,a] bool, their labels, columns by the vectors' `attribute_names`.
      edits: kind -> the vectors of that kind, and what their edits did.
      paint: whether edits are painted onto the photographs, as by `jvae.render.residual`, and not decoded.
    """
    descriptor, of = describe
    photographs = of(images)
    places = ranks(of(reconstructions), photographs)
    plan, moved, own = [], [], []
    for kind, (vectors, found) in edits.items():
        for name, edit in found.items():
            without = np.flatnonzero(~attrs[:, vectors.attribute_names.index(name)])
            if len(without):
                taken = spread(without, EDITED)
                factor = float(FACTORS[edit.landed()])
                plan.append((kind, name, taken, factor))
                moved.append(z[taken] + np.float32(factor) * np.asarray(vectors[name].step("sd"), np.float32)[None])
                own.append(taken)
    kept: dict[Any, dict[str, Kept]] = {kind: {} for kind in edits}
    if plan:
        latents, rows = np.concatenate(moved), np.concatenate(own)
        if paint:
            onto = functools.partial(painted, model.variables, decode_fn=model.decode_fn)
            each = (latents[:, None], np.arange(len(rows)))
            pictures = map_rows(onto, (images, rows), (z, rows), each, mesh=model.mesh)[:, 0]
        else:
            pictures = model.decode(latents)
        after = ranks(of(pictures), photographs, rows)
        parts = np.split(after, np.cumsum([len(taken) for taken in own])[:-1])
        for (kind, name, taken, factor), part in zip(plan, parts, strict=True):
            before = 1.0 if paint else same_person(places[taken], len(images))
            kept[kind][name] = Kept(len(taken), factor, before, same_person(part, len(images)))
    middle = float(np.median(places))
    return Identity(descriptor, len(images), same_person(places, len(images)), rank_one(places), middle, kept)


def face_chips(images: np.ndarray, crop: str) -> list[np.ndarray]:
    """What dlib describes: faces with their eyes where it has them, n uint8 [150,150,3].

    The eyes are where CelebA's frame has them. Of 64 pixels a photograph's own 68 points, put on the photograph and on
    the reconstruction, or points looked for in each by itself, tell people from each other no better.

    Args:
      images: uint8 [n,h,w,3].
      crop: how they are cut from CelebA's frame.
    """
    height, width = images.shape[1:3]
    left, top, right, bottom = crop_box(WIDTH, HEIGHT, crop)
    across, down = width / (right - left), height / (bottom - top)  # pixels to one of the frame
    scale = (EYES[1] - EYES[0]).real / (_CHIP_EYES[1] - _CHIP_EYES[0]).real
    corner = EYES[0] - scale * _CHIP_EYES[0]  # of the chip, in the frame
    x, y = (corner.real - left) * across, (corner.imag - top) * down
    wide, tall = scale * CHIP * across, scale * CHIP * down
    beyond = int(np.ceil(max(0, -x, -y, x + wide - width, y + tall - height)))  # goes on as it is at the border
    grown = np.pad(images, ((0, 0), (beyond, beyond), (beyond, beyond), (0, 0)), mode="edge")
    box = (x + beyond, y + beyond, x + beyond + wide, y + beyond + tall)
    size, how = (CHIP, CHIP), Image.Resampling.BICUBIC
    return [np.asarray(Image.fromarray(image).resize(size, how, box=box)) for image in grown]


def _by_dlib(crop: str, images: np.ndarray) -> np.ndarray:
    return dlib_descriptors(face_chips(_bytes(images), crop))


def _by_judge(judge: AttributeJudge, mesh: jax.sharding.Mesh, images: np.ndarray) -> np.ndarray:
    features = functools.partial(features_of, judge.variables, features_fn=judge.features_fn)
    return map_rows(features, (_bytes(images), np.arange(len(images))), mesh=mesh)


def _bytes(images: np.ndarray) -> np.ndarray:
    return images if images.dtype == np.uint8 else np.asarray(to_uint8(images))


@functools.partial(jax.jit, static_argnames="features_fn")
def features_of(variables: Any, images: jax.Array, *, features_fn: Callable) -> jax.Array:
    """What `features_fn` gives for uint8 images [b,h,w,3]."""
    return features_fn(variables, to_float(images))
