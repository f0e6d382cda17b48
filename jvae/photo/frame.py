"""A photograph and where its eyes are in; the face as CelebA frames it, and the photograph with an edit pasted, out.

Points are complex numbers, x + iy, from the top left corner: the middle of the first pixel is 0.5 + 0.5i. A similarity
(turn, scale and shift) is then `turn * point + shift`.
"""

import dataclasses
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jvae.data.decode import check_crop, crop_box, open_image, read_image
from jvae.data.sources.archive import read_file
from jvae.errors import InputError
from jvae.io.files import replacing

WIDTH, HEIGHT = 178, 218  # of CelebA's aligned images
# The mean eyes of CelebA's list_landmarks_align_celeba.txt are (69.4, 111.3) and (107.6, 111.3) in whole pixels, whose
# middles are half a pixel further. The alignment script of ALAE (Pidhorskyi 2020) has them rounded: 69 111 108 111.
EYES = (69.9 + 111.8j, 108.1 + 111.8j)
FEWEST = 12  # pixels between the eyes: a face of some 50
FEATHER = 0.18  # share of the side of what the model sees over which an edit fades in

_BAND = 512  # rows pasted at a time
_AFFINE, _BICUBIC = Image.Transform.AFFINE, Image.Resampling.BICUBIC


@dataclasses.dataclass(frozen=True)
class Photo:
    """A photograph, upright.

    Attributes:
      pixels: uint8 [h,w,3].
      name: what to call it.
      profile: its ICC colour profile, or empty.
    """

    pixels: np.ndarray
    name: str
    profile: bytes = b""


@dataclasses.dataclass(frozen=True)
class Alignment:
    """Where CelebA's frame lies in a photograph: the photograph's point is turn * (the frame's) + shift."""

    turn: complex
    shift: complex

    @property
    def scale(self) -> float:
        """Pixels of the photograph to one of the frame."""
        return abs(self.turn)

    @property
    def eye_distance(self) -> float:
        """Pixels of the photograph between the eyes."""
        return self.scale * abs(EYES[1] - EYES[0])


def read_photo(path: str | os.PathLike[str]) -> Photo:
    """Reads a photograph's file.

    Raises:
      InputError: no such file, or it is not an image that is read; see `jvae.data.decode.read_image`.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"there is no file {path}: give a photograph, JPEG or PNG")
    return dataclasses.replace(decode_photo(read_file(path), str(path)), name=path.name)


def decode_photo(data: bytes, name: str) -> Photo:
    """A photograph of the bytes of its file; raises InputError as `jvae.data.decode.read_image` does."""
    pixels = read_image(data, name)
    with warnings.catch_warnings(action="ignore"), open_image(data) as picture:
        profile = picture.info.get("icc_profile") if picture.mode in ("RGB", "RGBA") else None
    return Photo(pixels, name, profile or b"")


def save_photo(path: str | os.PathLike[str], pixels: np.ndarray, profile: bytes = b"") -> None:
    """Writes uint8 [h,w,3] as a PNG with a colour profile and no other metadata, whole or not at all.

    Raises:
      OSError: it cannot be written.
    """
    with replacing(path) as part:
        Image.fromarray(pixels).save(part, format="PNG", icc_profile=profile or None)


def alignment_by_eyes(photo: Photo, eyes: Sequence[float]) -> Alignment:
    """The alignment of the face with these eyes.

    Args:
      photo: has the face.
      eyes: x y x y of the middles of the eyes, in pixels from the photograph's top left corner, in either order.

    Raises:
      InputError: the eyes are outside of the photograph, or fewer than `FEWEST` pixels apart.
    """
    height, width = photo.pixels.shape[:2]
    x1, y1, x2, y2 = eyes
    for x, y in ((x1, y1), (x2, y2)):
        if not (0 <= x <= width and 0 <= y <= height):  # nor is nan
            raise InputError(f"the eye {x:g} {y:g} lies outside of {photo.name}, which is {width}x{height} pixels")
    left, right = sorted((complex(x1, y1), complex(x2, y2)), key=lambda eye: (eye.real, eye.imag))
    if abs(right - left) < FEWEST:
        raise InputError(
            f"the eyes {x1:g} {y1:g} and {x2:g} {y2:g} are {abs(right - left):.1f} pixels apart and {FEWEST} are the "
            f"fewest: give a photograph in which the face is larger"
        )
    turn = (right - left) / (EYES[1] - EYES[0])
    return Alignment(turn, left - turn * EYES[0])


def align(pixels: np.ndarray, alignment: Alignment, zoom: int = 1) -> np.ndarray:
    """The face in CelebA's frame.

    What is finer than a pixel of the result is averaged before it is turned. Beyond its border the photograph goes on
    as it is there, as it does in CelebA.

    Args:
      pixels: uint8 [h,w,3], the photograph.
      alignment: of the face.
      zoom: how often the size of CelebA's images.

    Returns:
      uint8 [218*zoom, 178*zoom, 3].
    """
    turn, shift = alignment.turn / zoom, alignment.shift
    width, height = WIDTH * zoom, HEIGHT * zoom
    step = max(1.0, abs(turn))
    corners = _corners(turn, shift, (0, 0, width, height))
    left, top, right, bottom = _around(corners, pixels, margin=4 * step)
    part = Image.fromarray(pixels[top:bottom, left:right])
    if step > 1:
        smaller = max(1, round(part.width / step)), max(1, round(part.height / step))
        part = part.resize(smaller, _BICUBIC)
    across, down = (right - left) / part.width, (bottom - top) / part.height
    reached = (corners.real - left) / across, (corners.imag - top) / down
    before = [max(0, int(2 - at.min())) for at in reached]
    after = [max(0, int(at.max() + 3 - size)) for at, size in zip(reached, part.size, strict=True)]
    grown = np.pad(np.asarray(part), ((before[1], after[1]), (before[0], after[0]), (0, 0)), mode="edge")
    x, y = shift.real - left, shift.imag - top
    way = (
        *(turn.real / across, -turn.imag / across, x / across + before[0]),
        *(turn.imag / down, turn.real / down, y / down + before[1]),
    )
    return np.asarray(Image.fromarray(grown).transform((width, height), _AFFINE, way, _BICUBIC))


def paste(
    pixels: np.ndarray, layer: np.ndarray, alignment: Alignment, crop: str, *, residual: bool = True
) -> np.ndarray:
    """The photograph with a layer put where the face is, faded out towards the border of what the model sees.

    Args:
      pixels: uint8 [h,w,3], the photograph.
      layer: float32 [s,s,3]; a change in [-1,1] that is added, or a face in [0,1] that is laid over.
      alignment: of the face.
      crop: how the model's images are cut from CelebA's frame, see `jvae.data.decode.crop_box`.
      residual: the layer is a change.

    Returns:
      uint8 [h,w,3]; outside of what the model sees, and where a change is 0, the photograph bit for bit.

    Raises:
      InputError: an unknown crop.
    """
    check_crop(crop)
    box = crop_box(WIDTH, HEIGHT, crop)
    corners = _corners(alignment.turn, alignment.shift, box)
    left, top, right, bottom = _around(corners, pixels)
    out = pixels.copy()
    if left >= right or top >= bottom:
        return out
    layers = [Image.fromarray(np.ascontiguousarray(layer[:, :, c], np.float32)) for c in range(3)]
    # Where the photograph has fewer pixels than the model, the layer is averaged down to them first.
    size = [
        min(s, max(1, round(alignment.scale * extent)))
        for s, extent in zip(layers[0].size, (box[2] - box[0], box[3] - box[1]), strict=True)
    ]
    layers = [part.resize((size[0], size[1]), Image.Resampling.BILINEAR) for part in layers]
    back, origin = 1 / alignment.turn, -alignment.shift / alignment.turn  # from the photograph to the frame
    wide, tall = box[2] - box[0], box[3] - box[1]
    for start in range(top, bottom, _BAND):
        rows = slice(start, min(start + _BAND, bottom))
        x = np.arange(left, right)[None] + 0.5
        y = np.arange(rows.start, rows.stop)[:, None] + 0.5
        u = (back.real * x - back.imag * y + origin.real - box[0]) / wide  # [rows, columns], 0 to 1 within the box
        v = (back.imag * x + back.real * y + origin.imag - box[1]) / tall
        mask = (_fade(u) * _fade(v)).astype(np.float32)[:, :, None]
        at = back * complex(left, rows.start) + origin
        way = (
            *(back.real * size[0] / wide, -back.imag * size[0] / wide, (at.real - box[0]) * size[0] / wide),
            *(back.imag * size[1] / tall, back.real * size[1] / tall, (at.imag - box[1]) * size[1] / tall),
        )
        extent = (right - left, rows.stop - rows.start)
        grown = np.stack([np.asarray(part.transform(extent, _AFFINE, way, _BICUBIC)) for part in layers], axis=-1)
        photo = pixels[rows, left:right].astype(np.float32)
        change = 255 * grown if residual else 255 * grown - photo
        out[rows, left:right] = np.rint(np.clip(photo + mask * change, 0, 255)).astype(np.uint8)
    return out


def close_up(pixels: np.ndarray, alignment: Alignment, side: int = 320) -> np.ndarray:
    """The part of the photograph around the face, not turned: uint8 [h,w,3], the longer of the two `side` pixels."""
    return cut_out(pixels, alignment, side)[0]


def cut_out(pixels: np.ndarray, alignment: Alignment, side: int) -> tuple[np.ndarray, Alignment]:
    """As `close_up`, and where the frame lies in it."""
    left, top, right, bottom = _around(_corners(alignment.turn, alignment.shift, (0, 0, WIDTH, HEIGHT)), pixels)
    scale = side / max(right - left, bottom - top)
    size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    part = np.asarray(Image.fromarray(pixels[top:bottom, left:right]).resize(size, _BICUBIC))
    return part, Alignment(scale * alignment.turn, scale * (alignment.shift - complex(left, top)))


def _corners(turn: complex, shift: complex, box: tuple[float, float, float, float]) -> NDArray[np.complex128]:
    """The corners of a box in the frame, in the photograph: complex [4]."""
    left, top, right, bottom = box
    return turn * np.array([left + 1j * top, right + 1j * top, left + 1j * bottom, right + 1j * bottom]) + shift


def _around(corners: NDArray[np.complex128], pixels: np.ndarray, margin: float = 0) -> tuple[int, int, int, int]:
    """The whole pixels of the photograph around some points: left, top, right, bottom."""
    height, width = pixels.shape[:2]
    low = np.floor([corners.real.min() - margin, corners.imag.min() - margin]).astype(int)
    high = np.ceil([corners.real.max() + margin, corners.imag.max() + margin]).astype(int)
    return max(low[0], 0), max(low[1], 0), min(high[0], width), min(high[1], height)


def _fade(at: np.ndarray) -> np.ndarray:
    """1 in the middle of 0 to 1, smoothly down to 0 at both ends and beyond."""
    inwards = np.clip(np.minimum(at, 1 - at) / FEATHER, 0, 1)
    return inwards * inwards * (3 - 2 * inwards)
