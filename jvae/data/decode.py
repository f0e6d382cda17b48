"""One image, as bytes or pixels, to a uint8 square: decode, crop, resize with anti-aliasing."""

import io
import math
import os
import re
import warnings
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from jvae.data.resize import resize
from jvae.data.sources.archive import read_file
from jvae.errors import InputError, unknown

CROPS: tuple[str, ...] = ("center", "squash", "rendered")

MOST_PIXELS = 160_000_000  # of an image: the largest cameras make 151 million, half a GB when decoded
MOST_SCANS = 100  # of a JPEG, which has ten as a rule when it is progressive; each one passes over all pixels
MOST_STRAY = 32  # bytes between a JPEG's pixels and its end; more are pixels of which the decoder lost count

_SCANNED = 2**32  # bytes times pixels below which even a JPEG that is all scans takes no more than seconds
# Each has a signature and is read by a library of Pillow's own: EPS would start Ghostscript, TGA could be anything.
# Pillow opens an MPO, as many cameras write, as a JPEG.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "JPEG2000", "PPM")
_OTHERS = {
    **dict.fromkeys((b"ftypheic", b"ftypheix", b"ftypmif1"), "HEIC"),  # what telephones make
    **{b"ftypavif": "AVIF", b"%!PS": "EPS", b"8BPS": "PSD"},  # AVIF where this Pillow was built without it
}
_CELEBA_WIDTH, _CELEBA_HEIGHT, _CELEBA_CROP = 178, 218, 148
_RENDERED_SIDE, _RENDERED_TOP = 157.2, 41.1  # where CelebA's mean eyes come to lie as those of a rendered face do


def cores() -> int:
    """The processor's cores that we may use: how many threads decode at best."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_size(size: int) -> None:
    """Raises InputError unless `size` is a positive multiple of 16."""
    if size <= 0 or size % 16:
        below = max(size // 16 * 16, 16)
        raise InputError(f"size={size} is not a positive multiple of 16: use {below} or {below + 16}")


def check_crop(crop: str) -> None:
    """Raises InputError unless `crop` is one of CROPS."""
    if crop not in CROPS:
        raise unknown("crop", crop, CROPS)


def crop_box(width: int, height: int, crop: str) -> tuple[float, float, float, float]:
    """The part of a `width` x `height` image that is kept: left, top, right, bottom in pixels.

    `squash` keeps all. `center` keeps the 148x148 in the middle of CelebA's 178x218, the same part of an image of
    that shape in another resolution, and the largest centred square of any other: it may be a face already cropped.
    `rendered` differs from it in keeping of CelebA's shape what has the eyes where rendered faces have theirs.
    """
    if crop == "squash":
        return 0, 0, width, height
    if abs(width * _CELEBA_HEIGHT - height * _CELEBA_WIDTH) <= 0.01 * height * _CELEBA_WIDTH:
        scale = width / _CELEBA_WIDTH
        if crop == "rendered":
            left, top, side = (
                (_CELEBA_WIDTH - _RENDERED_SIDE) / 2 * scale,
                _RENDERED_TOP * scale,
                _RENDERED_SIDE * scale,
            )
            return left, top, left + side, top + side
        side = _CELEBA_CROP * scale
    else:
        side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def preprocess(image: Any, size: int, crop: str, name: str = "the image") -> np.ndarray:
    """Decodes, crops and resizes one image.

    A JPEG is decoded at a half, a quarter or an eighth of its resolution where that leaves pixels enough: libjpeg then
    averages pixels as it decodes, and the resize has less to do. The result differs from that of a full decode by
    about 1 in 255 on average.

    Args:
      image: the bytes or the path of a JPEG (or PNG, WebP, BMP, GIF, TIFF, AVIF, JPEG 2000, PPM), an image of
        Pillow's, or pixels, uint8 [h,w,3] or [h,w]. Colours become RGB, a transparent image gets a white ground, an
        Exif orientation is applied, and of an animation the first picture is taken.
      size: height and width of the result in pixels, a multiple of 16.
      crop: one of CROPS, see `crop_box`.
      name: what to call the image in an error.

    Returns:
      uint8 [size,size,3].

    Raises:
      InputError: an unknown crop or size, or an image that is none, is damaged, or is of another format (HEIC).
    """
    check_size(size)
    check_crop(crop)
    pixels, box = decode(image, size, crop, name)
    return resize(pixels[None], size, box)[0]


def decode(image: Any, size: int, crop: str, name: str) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """The first half of `preprocess`: pixels (uint8 [h,w,3]) with the part to keep, for `resize` to finish.

    Pixels of which no part is kept are cut off; those of which some is are the border.
    """
    factor, image = 1, _given(image, name)
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.shape[2:] not in ((), (3,)) or not image.size or image.ndim < 2:
            raise InputError(f"{name} is {image.dtype} {list(image.shape)}: pixels are uint8 [h,w,3]")
        pixels = image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
        height, width = pixels.shape[:2]
    else:
        try:
            if isinstance(image, Image.Image):
                raise ValueError("decoded, or to be decoded by Pillow")
            pixels, height, width, factor = _from_jpeg(image, size, crop)
        except ValueError:  # Pillow's, no JPEG, one not for simplejpeg, or one that libjpeg warns of: see _damage
            pixels = read_image(image, name)
            height, width = pixels.shape[:2]
    left, top, right, bottom = (edge / factor for edge in crop_box(width, height, crop))
    x, y = math.floor(left), math.floor(top)
    return pixels[y : math.ceil(bottom), x : math.ceil(right)], (left - x, top - y, right - x, bottom - y)


def _given(image: Any, name: str) -> np.ndarray | bytes | Image.Image:
    """What people take for an image; its bytes where it is a path."""
    if isinstance(image, str | os.PathLike):
        try:
            return read_file(image)
        except OSError as error:
            raise InputError(f"{name} is the file {os.fspath(image)}, which cannot be read: {error.strerror}") from None
    if isinstance(image, bytes | np.ndarray | Image.Image):
        return image
    if isinstance(image, bytearray | memoryview):
        return bytes(image)
    if hasattr(image, "__array__"):
        return np.asarray(image)
    raise InputError(f"{name} is a {type(image).__name__}: give pixels, a Pillow image, or the bytes or path of a file")


def _from_jpeg(data: bytes, size: int, crop: str) -> tuple[np.ndarray, int, int, int]:
    """Pixels, height and width of the whole image, and by what factor the pixels are fewer; ValueError if it cannot."""
    pixels_at = data.find(b"\xff\xda\0")  # before which the Exif lies, however long the profiles ahead of it
    if not data.startswith(b"\xff\xd8\xff") or data.find(b"Exif\0\0", 0, pixels_at) >= 0:
        raise ValueError("not a JPEG, or one that may have to be turned")
    import simplejpeg  # here, so that what reads no JPEG runs where it is not installed

    header: Any = simplejpeg.decode_jpeg_header(data)
    height, width = header[:2]
    if height * width > MOST_PIXELS or _scans(data, height * width) > MOST_SCANS:
        raise ValueError("what read_image refuses")
    left, top, right, bottom = crop_box(width, height, crop)
    # Only 1, 2, 4 and 8 have vector code in libjpeg-turbo; the factors between cost more than the full decode.
    # A quarter and an eighth alias unless the resize still halves.
    side = min(right - left, bottom - top)
    factor = next((f for f, pixels in ((8, 16), (4, 8), (2, 2)) if side >= size * pixels), 1)
    least: dict[str, Any] = {"min_height": math.ceil(height / factor), "min_width": math.ceil(width / factor)}
    pixels = simplejpeg.decode_jpeg(_checked(data, pixels_at, height, width), "RGB", min_factor=factor, **least)
    return pixels, height, width, factor


def _checked(data: bytes, pixels_at: int, height: int, width: int) -> bytes:
    """A JPEG of which libjpeg-turbo looks at every code, for a few percent more time.

    It takes a quicker way, which passes over codes that are none, unless the file says that restarts come in between.
    So this one says that they come after more blocks than it has, where a number of two bytes can say so.
    """
    restarts = b"\xff\xdd\0\4"
    if pixels_at < 0 or data.find(restarts, 0, pixels_at) >= 0 or -(-height // 8) * -(-width // 8) > 0xFFFF:
        return data
    return b"".join((data[:pixels_at], restarts, b"\xff\xff", data[pixels_at:]))


def read_image(data: bytes | Image.Image, name: str) -> np.ndarray:
    """Any image, from its bytes or from Pillow, whole and upright: uint8 [h,w,3]; colours as in `preprocess`.

    Raises:
      InputError: it is no image, is damaged or huge, or of a format that is not read.
    """
    raw = b"" if isinstance(data, Image.Image) else data
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, and of size short of Pillow's limit
            picture = data.copy() if isinstance(data, Image.Image) else open_image(data)  # a copy: it has no format
            if picture.width * picture.height > MOST_PIXELS:
                raise _too_large(name)
            jpeg = picture.format in ("JPEG", "MPO")
            if jpeg and _scans(raw, picture.width * picture.height) > MOST_SCANS:
                raise InputError(f"{name} is a JPEG of more than {MOST_SCANS} scans: save it anew")
            if picture.mode in ("I", "F", "LAB"):  # whose range no file says, or which Pillow does not convert
                raise InputError(f"{name} has pixels of Pillow's mode {picture.mode}: save it as JPEG or PNG")
            picture = ImageOps.exif_transpose(picture)
            if picture.mode.startswith("I;16"):  # which convert would clip, not scale
                picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
            if picture.has_transparency_data:
                picture = picture.convert("RGBA")
                picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
            pixels = np.asarray(picture.convert("RGB"))
        if jpeg and (damage := _damage(raw)):
            raise InputError(f"{name} is damaged ({damage}): replace it")
        return pixels
    except (InputError, MemoryError):
        raise
    except Image.UnidentifiedImageError:
        if other := _OTHERS.get(raw[:4]) or _OTHERS.get(raw[4:12]):
            raise InputError(f"{name} is {other}, which is not read here: convert it to JPEG or PNG") from None
        what = "is empty" if not raw else "is not an image"
        raise InputError(f"{name} {what}: give a JPEG or PNG") from None
    except Image.DecompressionBombError:
        raise _too_large(name) from None
    except Exception as error:  # Pillow's readers raise whatever their arithmetic on damaged bytes does
        raise InputError(f"{name} is damaged ({error or type(error).__name__}): replace it") from None


def open_image(data: bytes) -> Image.Image:
    """Pillow's image of these bytes, its pixels not yet read; no formats but ours are tried."""
    return Image.open(io.BytesIO(data), formats=_FORMATS)


def _too_large(name: str) -> InputError:
    return InputError(f"{name} says it has more than {MOST_PIXELS:,} pixels: scale it down")


def _scans(data: bytes, pixels: int) -> int:
    """How many scans a JPEG of so many pixels has, as far as it matters."""
    return data.count(b"\xff\xda") if len(data) * pixels > _SCANNED else 0


def _damage(data: bytes) -> str:
    """What libjpeg says against a JPEG that Pillow read: Pillow drops it, with the pixels that libjpeg made up.

    It is "" where there is nothing, or a few stray bytes at the end, or a scan that comes again; or where simplejpeg
    does not read this kind.
    """
    import simplejpeg

    try:
        bare = _bare(data)
        header: Any = simplejpeg.decode_jpeg_header(bare)
        bare = _checked(bare, bare.find(b"\xff\xda\0"), *header[:2])
        simplejpeg.decode_jpeg(bare, "GRAY", min_height=1, min_width=1, min_factor=8)
    except ValueError as error:
        said = str(error)
        stray = re.search(r"(\d+) extraneous bytes before marker 0xd9", said)
        fine = int(stray[1]) <= MOST_STRAY if stray else said.startswith(("tj", "Unsupported color", "Inconsistent"))
        return "" if fine else said
    return ""


def _bare(data: bytes) -> bytes:
    """A JPEG without what is said about its pixels: libjpeg tells its first warning alone, which may be of that."""
    at, parts, sequential = 2, [data[:2]], False
    while data[at : at + 1] == b"\xff" and (marker := data[at + 1 : at + 2]) != b"\xda":
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4]) if marker != b"\xff" else at + 1
        if not (b"\xe0" <= marker <= b"\xef" or marker in (b"\xfe", b"\xff")):
            parts.append(data[at:end])
        sequential = sequential or marker in (b"\xc0", b"\xc1")
        at = end
    if sequential:  # some telephones write other bytes here, which only a progressive one needs
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        parts += data[at : end - 3], b"\0\x3f\0"
        at = end
    return b"".join([*parts, data[at:]])
