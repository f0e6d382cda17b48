"""One image to a square of pixels: against Pillow's full decode, crop and resize, and for every odd kind of file."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jvae.data.decode import read_image
from jvae.data.packed import crop_box, preprocess
from jvae.data.resize import resize
from jvae.errors import InputError
from tests.celeba_files import encode, picture


def reference(data: bytes, size: int, crop: str) -> np.ndarray:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    if crop == "center":
        image = image.crop((15, 35, 163, 183))
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


@pytest.mark.parametrize("crop", ["center", "squash"])
@pytest.mark.parametrize("size", [16, 32, 64])
def test_reduced_decode_is_close_to_full_decode_crop_and_resize(size: int, crop: str) -> None:
    for seed in range(6):
        data = encode(picture(seed))
        found = preprocess(data, size, crop)
        assert found.shape == (size, size, 3) and found.dtype == np.uint8
        error = found.astype(float) - reference(data, size, crop)
        assert np.abs(error).mean() < 1.5
        assert abs(error.mean()) < 0.3  # no brighter, no darker


@pytest.mark.parametrize("crop", ["center", "squash"])
@pytest.mark.parametrize("size", [128, 160, 256])
def test_full_decode_crop_and_resize_are_pillows_to_rounding(size: int, crop: str) -> None:
    for seed in range(3):
        data = encode(picture(seed))
        error = preprocess(data, size, crop).astype(int) - reference(data, size, crop)
        assert np.abs(error).max() <= 1


@pytest.mark.parametrize("shape", [(218, 178), (30, 40), (700, 500), (64, 64), (1, 1), (16, 2000)])
def test_resize_is_pillows_to_rounding(shape: tuple[int, int]) -> None:
    height, width = shape
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    pixels[: height // 2] = 255  # sums of weights just above one must not wrap around
    for size in (16, 64, 144):
        expected = Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR)
        error = resize(pixels[None], size, (0, 0, width, height))[0].astype(int) - np.asarray(expected)
        assert np.abs(error).max() <= 1


def test_resize_between_pixels_and_nothing_of_outside() -> None:
    ramp = np.repeat(np.arange(100, dtype=np.uint8)[:, None, None], 100, axis=1).repeat(3, axis=2)
    found = resize(ramp[None], 16, (20.5, 10.25, 84.5, 74.25))  # 4 pixels to one
    expected = 10.25 + 4 * (np.arange(16) + 0.5) - 0.5
    assert np.abs(found[0, 1:-1].mean(axis=(1, 2)) - expected[1:-1]).max() <= 0.51
    outside = np.full((100, 100, 3), 255, np.uint8)
    outside[10:74, 20:84] = 7
    assert (resize(outside[None], 16, (20, 10, 84, 74)) == 7).all()


def test_center_keeps_the_middle_148() -> None:
    pixels = np.zeros((218, 178, 3), np.uint8)
    pixels[35:183, 15:163] = 200
    for size in (64, 128):
        found = preprocess(encode(pixels, quality=100, subsampling=0), size, "center")
        assert np.abs(found[2:-2, 2:-2].astype(int) - 200).max() <= 2
        assert found.min() > (190 if size == 128 else 100)  # half a pixel of the border is outside when decoded at half
        assert preprocess(encode(pixels), size, "squash")[0].max() < 20


def test_crop_box() -> None:
    assert crop_box(178, 218, "center") == (15, 35, 163, 183)
    assert crop_box(356, 436, "center") == (30, 70, 326, 366)  # the same photograph, twice as large
    assert crop_box(100, 100, "center") == (0, 0, 100, 100)
    assert crop_box(200, 100, "center") == (50, 0, 150, 100)
    assert crop_box(200, 100, "squash") == (0, 0, 200, 100)


def test_large_photograph_is_the_small_one() -> None:
    small = Image.fromarray(picture(1, 600, 735))
    large = np.asarray(small.resize((2400, 2940), Image.Resampling.BICUBIC))
    error = preprocess(encode(large), 64, "center").astype(float) - preprocess(encode(np.asarray(small)), 64, "center")
    assert np.abs(error).mean() < 1.5


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_kinds_of_image() -> None:
    pixels = picture(3)
    plain = preprocess(pixels, 64, "center").astype(float)
    rgb = Image.fromarray(pixels)
    gray = rgb.convert("L")

    def difference(data: bytes, expected: np.ndarray = plain) -> float:
        found = preprocess(data, 64, "center")
        assert found.shape == (64, 64, 3)
        return float(np.abs(found - expected).mean())

    assert difference(saved(rgb, "PNG")) == 0
    assert difference(saved(rgb, "WEBP", lossless=True)) == 0
    assert difference(saved(rgb, "JPEG", quality=95, progressive=True)) < 2
    assert difference(saved(rgb.convert("CMYK"), "JPEG", quality=95)) < 3
    for lossless in ("BMP", "PPM", "TIFF", "JPEG2000"):
        assert difference(saved(rgb, lossless)) == 0, lossless
    assert difference(saved(rgb, "AVIF", quality=95)) < 3
    for animated, options in (("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        data = saved(rgb, animated, save_all=True, append_images=[gray.convert("RGB")], **options)
        expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))  # opens the first
        assert difference(data, preprocess(expected, 64, "center")) == 0, animated
    palette = rgb.quantize(64)
    assert difference(saved(palette, "PNG"), preprocess(np.asarray(palette.convert("RGB")), 64, "center")) == 0
    in_gray = preprocess(np.asarray(gray), 64, "center").astype(float)
    assert np.ptp(in_gray, axis=2).max() == 0
    assert difference(saved(gray, "PNG"), in_gray) == 0
    assert difference(saved(gray, "JPEG", quality=95), in_gray) < 2
    sixteen = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    assert difference(saved(sixteen, "PNG"), in_gray) < 1


def test_transparent_is_white() -> None:
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[:, 32:] = (10, 20, 30, 255)
    found = preprocess(encode(rgba, "PNG"), 64, "center")
    assert (found[:, :31] == 255).all() and (found[:, 33:] == (10, 20, 30)).all()


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 1), (8, 3)])
def test_exif_orientation_is_applied(orientation: int, turns: int) -> None:
    pixels = picture(4, 160, 160)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(np.ascontiguousarray(np.rot90(pixels, turns)), exif=exif.tobytes())
    error = preprocess(data, 64, "center").astype(float) - preprocess(encode(pixels), 64, "center")
    assert np.abs(error).mean() < 2.5


def test_stray_bytes_are_passed_over() -> None:
    data = encode(picture(5))
    stray = data[:-2] + b"\x00\x00\x00" + data[-2:]
    assert np.abs(preprocess(stray, 64, "center").astype(float) - preprocess(data, 64, "center")).mean() < 1.5


ROTATED = Image.Exif()
ROTATED[0x0112] = 6


@pytest.mark.parametrize("how", [{}, {"restart_marker_blocks": 4}, {"progressive": True}, {"exif": ROTATED.tobytes()}])
def test_a_hole_in_a_jpeg_is_damage(how: dict[str, Any]) -> None:
    data = encode(picture(5), **how)
    middle = len(data) // 2
    for bad in (
        data[:middle] + bytes(1500) + data[middle + 1500 :],
        data[:middle] + data[middle + 1500 :],
        data[:middle] + b"\xff\0" * 50 + data[middle + 100 :],  # no code, which libjpeg-turbo's quick way passes over
        data[:-2] + bytes(100) + data[-2:],
    ):
        for read in (lambda bad: preprocess(bad, 64, "center", "me.jpg"), lambda bad: read_image(bad, "me.jpg")):
            with pytest.raises(InputError, match=r"^me.jpg is damaged \(.*\): replace it$"):
                read(bad)


def test_what_is_odd_about_a_jpeg_and_not_in_its_pixels_is_passed_over() -> None:
    data = encode(picture(5))
    scan = data.index(b"\xff\xda") + 11
    for sound in (
        data[:11] + b"\5" + data[12:],  # an unknown version of JFIF
        data[:2] + b"\xff\xe2\0\x12ICC_PROFILE\0\5\1aa" + data[2:],  # a part of a profile
        data[:scan] + bytes(3) + data[scan + 3 :],  # as some telephones end a scan's head
    ):
        np.testing.assert_array_equal(read_image(sound, "it"), read_image(data, "it"))
        hole = sound[:-1500] + bytes(1000) + sound[-500:]
        with pytest.raises(InputError, match="it is damaged"):
            read_image(hole, "it")


def test_array_of_the_size_is_itself() -> None:
    pixels = picture(6, 64, 64)
    np.testing.assert_array_equal(preprocess(pixels, 64, "squash"), pixels)


def test_resize_of_many_is_resize_of_each() -> None:
    pixels = np.stack([picture(seed, 90, 75) for seed in range(5)])
    found = resize(pixels, 64, (7.5, 0.25, 81.5, 74.25))
    for i in range(5):
        np.testing.assert_array_equal(found[i], resize(pixels[i : i + 1], 64, (7.5, 0.25, 81.5, 74.25))[0])


HEIC = b"\0\0\0\x18ftypheic" + bytes(40)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (HEIC, "me.jpg is HEIC, which is not read here: convert it to JPEG or PNG"),
        (saved(Image.fromarray(np.zeros((9, 9), np.float32)), "TIFF"), "me.jpg has pixels of Pillow's mode F: save it"),
        (b"", "me.jpg is empty"),
        (b"no image at all", "me.jpg is not an image"),
        (encode(picture(0))[:3000], "me.jpg is damaged (image file is truncated"),
        (encode(picture(0))[:20], "me.jpg is"),
        (encode(picture(0), "PNG")[:3000], "me.jpg is damaged"),
        (np.zeros((64, 64, 4), np.uint8), "me.jpg is uint8 [64, 64, 4]: pixels are uint8 [h,w,3]"),
        (np.zeros((64, 64, 3), np.float32), "me.jpg is float32 [64, 64, 3]"),
    ],
)
def test_what_is_no_image_is_said(data: bytes | np.ndarray, message: str) -> None:
    with pytest.raises(InputError) as caught:
        preprocess(data, 64, "center", "me.jpg")
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [16, 64, 128])
def test_a_jpeg_with_a_hole_is_damaged(size: int) -> None:
    whole = encode(picture(3))
    first = whole.index(b"\xff\xda") + 14  # of the pixels' codes
    middle = (first + len(whole)) // 2
    for hole in (bytes(1500), b""):  # zeros in the middle; a block of a file system that is not there
        with pytest.raises(InputError, match=r"the image is damaged \(.*\): replace it"):
            preprocess(whole[:middle] + hole + whole[middle + 1500 :], size, "center")
    for stray, read in ((b"\0" * 20, True), (b"\0" * 900, False)):
        data = whole[:-2] + stray + whole[-2:]
        if read:
            np.testing.assert_allclose(preprocess(data, size, "squash"), reference(whole, size, "squash"), atol=40)
        else:
            with pytest.raises(InputError, match="extraneous bytes"):
                preprocess(data, size, "squash")


@pytest.mark.parametrize(("size", "way"), [(60, "48 or 64"), (0, "16 or 32"), (-16, "16 or 32"), (8, "16 or 32")])
def test_size_is_a_multiple_of_16(size: int, way: str) -> None:
    with pytest.raises(InputError, match=f"size={size} is not a positive multiple of 16: use {way}"):
        preprocess(HEIC, size, "center")


def test_unknown_crop() -> None:
    with pytest.raises(InputError, match="unknown crop 'centre': did you mean center"):
        preprocess(HEIC, 64, "centre")
