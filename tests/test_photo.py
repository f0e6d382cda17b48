"""The geometry of a photograph: known transforms against what is computed from them; and every odd kind of file."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from jvae.data.decode import crop_box
from jvae.data.sources.face_shape import EYE_Y
from jvae.errors import InputError
from jvae.photo import frame as frame_module
from jvae.photo.frame import (
    EYES,
    FEATHER,
    FEWEST,
    HEIGHT,
    WIDTH,
    Alignment,
    Photo,
    align,
    alignment_by_eyes,
    close_up,
    paste,
    read_photo,
    save_photo,
)
from tests.celeba_files import encode, picture

MIDDLE = complex(WIDTH, HEIGHT) / 2


def alignment_at(middle: complex, scale: float, degrees: float) -> Alignment:
    """The alignment whose frame has its middle there."""
    turn = scale * np.exp(1j * np.deg2rad(degrees))
    return Alignment(turn, middle - turn * MIDDLE)


def points(width: int, height: int) -> NDArray[np.complex128]:
    """The middles of the pixels: complex [h,w]."""
    return np.arange(width)[None] + 0.5 + 1j * (np.arange(height)[:, None] + 0.5)


def scene(at: NDArray[np.complex128]) -> np.ndarray:
    """A smooth picture of points in the frame, 0 to 255: [h,w,3]."""
    x, y = at.real, at.imag
    waves = np.stack([np.sin(x / 9) * np.cos(y / 12), np.sin((x + y) / 14), np.cos(np.abs(at - MIDDLE) / 10)], -1)
    return 127.5 + 110 * waves


def taken(alignment: Alignment, width: int, height: int) -> np.ndarray:
    """A photograph of the scene, from this alignment."""
    return np.rint(scene((points(width, height) - alignment.shift) / alignment.turn)).astype(np.uint8)


places = st.builds(alignment_at, st.just(400 + 380j), st.floats(0.7, 4), st.floats(-180, 180))


@settings(max_examples=8)
@given(places)
def test_align_brings_back_the_frame(alignment):
    found = align(taken(alignment, 800, 760), alignment)
    assert found.shape == (HEIGHT, WIDTH, 3) and found.dtype == np.uint8
    at = points(WIDTH, HEIGHT)
    there = alignment.turn * at + alignment.shift
    edge = 3 * max(1, alignment.scale)
    seen = (there.real > edge) & (there.real < 800 - edge) & (there.imag > edge) & (there.imag < 760 - edge)
    assert seen.sum() > 5000
    error = np.abs(found - scene(at))[seen]
    assert error.max() < 5 and error.mean() < 1.2  # a shift by a pixel changes up to 12


def test_align_at_another_zoom():
    alignment = alignment_at(420 + 390j, 2.6, 24)
    found = align(taken(alignment, 800, 760), alignment, zoom=2)
    assert found.shape == (2 * HEIGHT, 2 * WIDTH, 3)
    assert np.abs(found - scene(points(2 * WIDTH, 2 * HEIGHT) / 2)).max() < 4


def test_an_aligned_image_stays_as_it_is():
    pixels = picture(0)
    alignment = alignment_by_eyes(Photo(pixels, "a"), (EYES[0].real, EYES[0].imag, EYES[1].real, EYES[1].imag))
    assert abs(alignment.turn - 1) < 1e-12 and abs(alignment.shift) < 1e-12
    np.testing.assert_array_equal(align(pixels, alignment), pixels)


@pytest.mark.parametrize("scale", [3.0, 6.5, 20.0])
def test_fine_grain_is_averaged_not_aliased(scale):
    side = 700
    grain = np.where(np.add.outer(np.arange(side), np.arange(side)) % 2, 255, 0).astype(np.uint8)
    found = align(np.repeat(grain[:, :, None], 3, axis=2), alignment_at(350 + 350j, scale, 7))
    assert np.abs(found.astype(int) - 127).max() <= 4


@settings(max_examples=8)
@given(st.complex_numbers(max_magnitude=300), st.floats(0.2, 30), st.floats(-180, 180))
def test_a_plain_photograph_is_plain_however_far_the_frame_reaches_out(middle, scale, degrees):
    middle = complex(np.clip(middle.real, 0, 90), np.clip(middle.imag, 0, 70))
    found = align(np.full((70, 90, 3), (10, 130, 250), np.uint8), alignment_at(middle, scale, degrees))
    assert (found == (10, 130, 250)).all()


def test_eyes_that_are_none():
    photo = Photo(np.zeros((300, 400, 3), np.uint8), "me.jpg")
    for eyes in ((10, 10, 401, 10), (-1, 10, 90, 10), (10, 301, 90, 10), (float("nan"), 10, 90, 10)):
        with pytest.raises(InputError, match=r"lies outside of me.jpg, which is 400x300 pixels"):
            alignment_by_eyes(photo, eyes)
    with pytest.raises(InputError, match=rf"are 0\.0 pixels apart and {FEWEST} are the fewest"):
        alignment_by_eyes(photo, (50, 50, 50, 50))
    with pytest.raises(InputError, match=r"are 5\.0 pixels apart"):
        alignment_by_eyes(photo, (50, 50, 53, 54))


def layer_of(value, side=64):
    return np.full((side, side, 3), value, np.float32)


@settings(max_examples=8)
@given(places, st.sampled_from(["center", "squash", "rendered"]), st.integers(0, 99))
def test_no_change_changes_nothing_and_no_change_leaves_the_mask(alignment, crop, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (760, 800, 3), dtype=np.uint8)
    before = pixels.copy()
    np.testing.assert_array_equal(paste(pixels, layer_of(0), alignment, crop), pixels)
    in_frame = (points(800, 760) - alignment.shift) / alignment.turn
    left, top, right, bottom = crop_box(WIDTH, HEIGHT, crop)
    inside = (in_frame.real > left) & (in_frame.real < right) & (in_frame.imag > top) & (in_frame.imag < bottom)
    layer = rng.uniform(-1, 1, (64, 64, 3)).astype(np.float32)
    for residual in (True, False):
        found = paste(pixels, layer, alignment, crop, residual=residual)
        np.testing.assert_array_equal(found[~inside], pixels[~inside])
        assert (found[inside] != pixels[inside]).mean() > 0.3
    np.testing.assert_array_equal(pixels, before)


def test_the_mask_fades_monotonously():
    alignment = alignment_at(300 + 300j, 3, 0)
    found = paste(np.full((600, 600, 3), 40, np.uint8), layer_of(0.5), alignment, "center")[:, :, 0].astype(int) - 40
    assert found.min() == 0 and found.max() == 128  # half of 255, rounded
    for line in (found[300], found[:, 300], np.diagonal(found)):
        half = line[300:]
        assert (np.diff(half) <= 0).all() and half[0] == 128 and half[-1] == 0
        assert len(set(half.tolist())) > 15  # no edge
        np.testing.assert_array_equal(line[:300][::-1], half[: len(line[:300])])
    whole = np.flatnonzero(found[300] == 128)
    assert abs(len(whole) / (3 * 148) - (1 - 2 * FEATHER)) < 0.03


@pytest.mark.parametrize(
    ("scale", "degrees", "side"), [(1.0, 0, 64), (4.4, 33, 64), (3.0, -160, 32), (0.4, 12, 128), (0.3, 0, 256)]
)
def test_a_change_lies_where_the_model_saw_it(scale, degrees, side):
    alignment = alignment_at(401 + 377j, scale, degrees)
    left, top, right, bottom = crop_box(WIDTH, HEIGHT, "center")

    def wave(u, v):
        return 0.3 * np.sin(4 * u) * np.cos(3 * v)

    grid = (np.arange(side) + 0.5) / side
    layer = np.repeat(wave(grid[None], grid[:, None])[:, :, None], 3, axis=2).astype(np.float32)
    found = paste(np.full((760, 800, 3), 128, np.uint8), layer, alignment, "center")[:, :, 1].astype(float) - 128
    at = (points(800, 760) - alignment.shift) / alignment.turn
    u, v = (at.real - left) / (right - left), (at.imag - top) / (bottom - top)
    whole = (np.minimum(u, 1 - u) > FEATHER) & (np.minimum(v, 1 - v) > FEATHER)
    assert whole.sum() > 700
    assert np.abs(found - 255 * wave(u, v))[whole].max() < 1.5


def test_a_face_is_laid_over():
    pixels = picture(3, 500, 500)
    found = paste(pixels, layer_of(0.8), alignment_at(250 + 250j, 2, 10), "center", residual=False)
    assert (found[220:280, 220:280] == 204).all()
    np.testing.assert_array_equal(found[:60], pixels[:60])


def test_bands_do_not_show(monkeypatch):
    pixels, alignment = picture(1, 500, 400), alignment_at(240 + 190j, 1.9, 31)
    layer = np.random.default_rng(0).uniform(-1, 1, (64, 64, 3)).astype(np.float32)
    whole = paste(pixels, layer, alignment, "center")
    monkeypatch.setattr(frame_module, "_BAND", 37)
    assert np.abs(paste(pixels, layer, alignment, "center").astype(int) - whole).max() <= 1


def test_what_is_pasted_comes_back_aligned():
    alignment = alignment_at(400 + 400j, 2.3, -18)
    pixels = np.full((800, 800, 3), 100, np.uint8)
    layer = np.zeros((64, 64, 3), np.float32)
    layer[30, 20] = 0.5  # one pixel of what the model sees
    change = align(paste(pixels, layer, alignment, "center"), alignment).astype(float)[:, :, 0] - 100
    change[change < 5] = 0
    middle = (points(WIDTH, HEIGHT) * change).sum() / change.sum()
    assert abs(middle - (15 + 35j + 148 / 64 * (20.5 + 30.5j))) < 0.15


def test_close_up_keeps_the_shape():
    tile = close_up(picture(0, 900, 700), alignment_at(450 + 350j, 2, 0), side=109)
    assert tile.shape == (109, 89, 3)
    assert close_up(picture(0, 900, 700), alignment_at(10 + 10j, 2, 0)).shape[0] == 320


def write(folder, data: bytes, name="me.jpg"):
    (folder / name).write_bytes(data)
    return folder / name


def file(image: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_kinds_of_photograph(tmp_path):
    pixels = picture(3, 120, 90)
    rgb, gray = Image.fromarray(pixels), Image.fromarray(pixels).convert("L")
    in_gray = np.repeat(np.asarray(gray)[:, :, None], 3, axis=2)
    alpha = Image.fromarray(np.full((90, 120), 255, np.uint8))
    sixteen = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)

    def read(data: bytes) -> np.ndarray:
        return read_photo(write(tmp_path, data)).pixels

    np.testing.assert_array_equal(read(file(rgb, "PNG")), pixels)
    np.testing.assert_array_equal(read(file(gray, "PNG")), in_gray)
    np.testing.assert_array_equal(read(file(Image.merge("LA", (gray, alpha)), "PNG")), in_gray)
    np.testing.assert_array_equal(read(file(Image.merge("RGBA", (*rgb.split(), alpha)), "PNG")), pixels)
    np.testing.assert_array_equal(read(file(sixteen, "PNG")), in_gray)
    assert np.abs(read(file(rgb.convert("CMYK"), "JPEG", quality=98)).astype(int) - pixels).mean() < 4
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right
    turned = read(file(Image.fromarray(np.ascontiguousarray(np.rot90(pixels))), "JPEG", quality=98, exif=exif))
    assert turned.shape == pixels.shape and np.abs(turned.astype(int) - pixels).mean() < 4


def png_that_says(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


FRAMES = [Image.fromarray(picture(i, 40, 30)) for i in range(3)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"no photograph", "is not an image"),
        (encode(picture(0))[:3000], "is damaged"),
        (png_that_says(60_000, 60_000), "says it has more than 160,000,000 pixels: scale it down"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is HEIC, which is not read here: convert it"),
    ],
)
def test_what_is_no_photograph_is_said(tmp_path, data, message):
    with pytest.raises(InputError) as caught:
        read_photo(write(tmp_path, data))
    assert str(caught.value).startswith(f"{tmp_path / 'me.jpg'} {message}") and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_of_an_animation_the_first_picture_is_taken(tmp_path, kind):
    data = file(FRAMES[0], kind, save_all=True, append_images=FRAMES[1:], lossless=True)
    np.testing.assert_array_equal(read_photo(write(tmp_path, data)).pixels, np.asarray(FRAMES[0]))


def test_no_file(tmp_path):
    for path in (tmp_path, tmp_path / "me.jpg"):
        with pytest.raises(InputError, match="there is no file"):
            read_photo(path)


def test_the_colour_profile_is_kept_and_nothing_else(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    rgb = Image.fromarray(picture(0, 60, 50))
    photo = read_photo(write(tmp_path, file(rgb, "JPEG", icc_profile=profile, exif=exif)))
    assert photo.profile == profile and photo.name == "me.jpg"
    save_photo(tmp_path / "out.png", photo.pixels, photo.profile)
    with Image.open(tmp_path / "out.png") as found:
        assert found.info["icc_profile"] == profile and not found.getexif()
        np.testing.assert_array_equal(np.asarray(found), photo.pixels)
    gray = read_photo(write(tmp_path, file(rgb.convert("L"), "JPEG", icc_profile=profile)))
    assert gray.profile == b""  # one for gray does not fit what is written


@pytest.mark.parametrize("scale", [1, 2.5])
def test_a_rendered_crop_has_the_eyes_where_rendered_faces_have_them(scale):
    left, top, right, bottom = crop_box(round(WIDTH * scale), round(HEIGHT * scale), "rendered")
    assert 0 <= left and right <= WIDTH * scale and bottom <= HEIGHT * scale
    for eye, side in zip(EYES, (-1, 1), strict=True):
        x, y = (2 * (eye.real * scale - left) / (right - left) - 1, 2 * (eye.imag * scale - top) / (bottom - top) - 1)
        assert x == pytest.approx(0.243 * side, abs=0.002) and y == pytest.approx(EYE_Y, abs=0.002)
