"""Images that are legitimate and odd, and images made to fill the memory or the day: in a pack and as a photograph."""

import base64
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jvae.data import decode
from jvae.data.packed import pack, preprocess
from jvae.data.sources.celeba import CelebAFolder
from jvae.errors import InputError
from jvae.photo.eyes import detect
from jvae.photo.frame import Photo, read_photo
from tests.celeba_files import NAMES, encode, picture, write_celeba

# 16x16, left half black, right half (200, 80, 40), by `jpegtran -arithmetic`.
ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYU"
    "GBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/yQARCAAQABADASI"
    "AAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwD/AO7d3zFWagbRxrUKNxSgNLV8qvYYFQfmoP/Z"
)
PIXELS = picture(3, 96, 96)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, depth: int, colours: int, rows: bytes, *before: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(before) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def sixteen_bits(pixels: np.ndarray) -> bytes:
    """A PNG of 16 bits a colour, which Pillow reads but does not write."""
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in pixels)
    return png(pixels.shape[1], pixels.shape[0], 16, 2, rows)


def with_exif(orientation: int, before: bytes = b"") -> bytes:
    """A JPEG of PIXELS, stored turned; `before` are segments ahead of the Exif one."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = np.rot90(PIXELS, {1: 0, 3: 2, 6: 1, 8: 3}[orientation])
    data = encode(np.ascontiguousarray(turned), exif=exif.tobytes())
    return data[:2] + before + data[2:]


PROFILE = b"\xff\xe2" + struct.pack(">H", 60_002) + b"ICC_PROFILE\0\1\1" + b"\xff\xda\xff" * 19_000 + bytes(2_986)
RGB = Image.fromarray(PIXELS)
ODD = {
    "grayscale": (encode(PIXELS[:, :, 0]), np.repeat(PIXELS[:, :, :1], 3, axis=2)),
    "CMYK, inverted as by Adobe": (saved(RGB.convert("CMYK"), "JPEG", quality=95), PIXELS),
    "progressive": (encode(PIXELS, progressive=True), PIXELS),
    "turned": (with_exif(6), PIXELS),
    "turned, after a profile": (with_exif(8, PROFILE), PIXELS),
    "16 bits": (sixteen_bits(PIXELS), PIXELS),
    "16 bits, gray": (saved(Image.fromarray(PIXELS[:, :, 0].astype(np.uint16) * 257), "PNG"), PIXELS[:, :, :1]),
    "palette": (saved(RGB.quantize(64), "PNG"), np.asarray(RGB.quantize(64).convert("RGB"))),
    "opaque alpha": (encode(np.dstack([PIXELS, np.full((96, 96), 255, np.uint8)]), "PNG"), PIXELS),
    "two in one": (saved(RGB, "MPO", save_all=True, append_images=[RGB.resize((9, 9))], quality=95), PIXELS),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_images_are_read_alike_in_a_pack_and_as_a_photograph(name: str, tmp_path: Path) -> None:
    data, expected = ODD[name]
    found = preprocess(data, 32, "squash").astype(float) - preprocess(expected + np.zeros_like(PIXELS), 32, "squash")
    assert np.abs(found).mean() < 6
    (tmp_path / "me.jpg").write_bytes(data)
    photo = read_photo(tmp_path / "me.jpg").pixels.astype(float)
    assert photo.shape == PIXELS.shape and np.abs(photo - expected).mean() < 6


def test_an_arithmetic_jpeg() -> None:
    found = preprocess(ARITHMETIC, 16, "squash")
    assert np.abs(found[:, [2, 12]].mean(axis=0) - [[0, 0, 0], [200, 80, 40]]).max() < 4


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 5000), (5000, 1), (30_000, 2)])
def test_the_smallest_and_the_narrowest(width: int, height: int, tmp_path: Path) -> None:
    pixels = np.full((height, width, 3), 90, np.uint8)
    for data in (encode(pixels), encode(pixels, "PNG")):
        for crop in ("center", "squash"):
            assert np.abs(preprocess(data, 16, crop).astype(int) - 90).max() <= 2
        (tmp_path / "me.png").write_bytes(data)
        assert detect(read_photo(tmp_path / "me.png")) == []
    assert detect(Photo(pixels, "me")) == []


def scans(pixels: np.ndarray, count: int) -> bytes:
    """A progressive JPEG whose last scan comes so often."""
    data = encode(pixels, progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + b"\xff\xd9"


LARGE = np.zeros((2000, 2000, 3), np.uint8)
TOO_MANY = "says it has more than 160,000,000 pixels: scale it down"
HARMFUL = {
    "PNG of 60,000 x 60,000": (png(60_000, 60_000, 8, 2, b""), TOO_MANY),
    "PNG of 13,000 x 13,000": (png(13_000, 13_000, 1, 0, b""), TOO_MANY),
    "PNG of 2³¹ - 1 squared": (png(2**31 - 1, 2**31 - 1, 8, 2, b""), "says it has more than|is damaged"),
    "JPEG of 65,500 x 65,500": (
        (small := encode(PIXELS)).replace(struct.pack(">HH", 96, 96), struct.pack(">HH", 65_500, 65_500)),
        TOO_MANY,
    ),
    "JPEG of 200 scans": (scans(LARGE, 200), "is a JPEG of more than 100 scans: save it anew"),
    "PNG with a profile of 100 MB": (
        png(1, 1, 8, 2, bytes(4), chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(100_000_000)))),
        "is damaged .Decompressed data too large",
    ),
    "PNG with a comment of 100 MB": (
        png(1, 1, 8, 2, bytes(4), chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(100_000_000)))),
        "is damaged .Decompressed data too large",
    ),
    "PNG of too much data": (png(16, 16, 8, 2, bytes(50_000_000)), ""),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is EPS, which is not read here"),
    "HEIC": (b"\0\0\0\x1cftypheic" + bytes(40), "is HEIC, which is not read here"),
    "AVIF": (b"\0\0\0\x1cftypavif" + bytes(40), "is AVIF, which is not read|is damaged"),
    "TIFF": (encode(PIXELS, "TIFF")[:5000], "is damaged|is not an image"),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMFUL)
def test_images_made_to_harm_are_refused_by_name(name: str, tmp_path: Path) -> None:
    data, message = HARMFUL[name]
    (tmp_path / "me.jpg").write_bytes(data)
    if not message:  # what is beyond the last row is not looked at
        assert preprocess(data, 16, "squash").shape == (16, 16, 3)
        return
    for read in (lambda: preprocess(data, 16, "center", "me.jpg"), lambda: read_photo(tmp_path / "me.jpg")):
        with pytest.raises(InputError, match=f"me.jpg ({message})"):
            read()


def test_a_few_scans_more_are_read() -> None:
    assert preprocess(scans(LARGE, 20), 16, "squash").max() == 0


def test_a_file_larger_than_any_photograph_is_not_read(tmp_path: Path) -> None:
    write_celeba(tmp_path, NAMES[:2])
    with open(tmp_path / "img_align_celeba" / NAMES[0], "ab") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match=f"{NAMES[0]} has 1,099,511,627,776 bytes, and 268,435,456 are the most"):
        CelebAFolder(tmp_path)[0]
    with pytest.raises(InputError, match=r"\.jpg has 1,099,511,627,776 bytes"):
        read_photo(tmp_path / "img_align_celeba" / NAMES[0])


def test_large_images_are_not_collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_celeba(tmp_path, NAMES[:6])
    small = pack(CelebAFolder(tmp_path), tmp_path / "small", size=32, crop="center", progress=False)
    together, stack = [], np.stack

    def counted(arrays: list[np.ndarray], axis: int = 0) -> np.ndarray:
        together.append(len(arrays))
        return stack(arrays, axis)

    monkeypatch.setattr("jvae.data.packing._LARGE", 1000)
    monkeypatch.setattr(np, "stack", counted)
    large = pack(CelebAFolder(tmp_path), tmp_path / "large", size=32, crop="center", progress=False)
    assert together == [1] * 6
    np.testing.assert_array_equal(small.images, large.images)


def test_no_pixels_are_no_image() -> None:
    for shape in ((0, 5, 3), (5, 0, 3), (0, 0)):
        with pytest.raises(InputError, match="the image is uint8"):
            preprocess(np.zeros(shape, np.uint8), 16, "center")


def test_bounds_hold_what_cameras_make() -> None:
    assert decode.MOST_PIXELS > 14_204 * 10_652  # 151 million, the largest on sale
