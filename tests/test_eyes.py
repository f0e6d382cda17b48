import sys

import numpy as np
import pytest
from PIL import Image

from jvae.errors import InputError
from jvae.photo import eyes as eyes_module
from jvae.photo import landmarks
from jvae.photo.eyes import DetectedFace, detect, find_alignment
from jvae.photo.frame import EYES, HEIGHT, WIDTH, Photo, align, alignment_by_eyes
from tests.faces import portraits

SIDE = 256  # of a rendered face; its head is turned and shifted a little, but the eyes are about here
DRAWN = DetectedFace(complex(1 - 0.243, 1 - 0.1) * SIDE / 2, complex(1 + 0.243, 1 - 0.1) * SIDE / 2)
NOBODY = Photo(np.full((400, 600, 3), 128, np.uint8), "me.jpg")


@pytest.fixture(autouse=True)
def by_cascades(monkeypatch):
    """OpenCV's cascades, whether the extra identity is installed or not."""
    monkeypatch.setattr(eyes_module, "dlib_is_there", lambda: False)


def face(x: float, y: float, apart: float) -> DetectedFace:
    return DetectedFace(complex(x - apart / 2, y), complex(x + apart / 2, y))


def seen(monkeypatch, *faces: DetectedFace) -> None:
    monkeypatch.setattr(eyes_module, "detect", lambda photo: list(faces))


def test_the_cascades_load_and_find_nobody_in_noise():
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    assert detect(Photo(noise, "noise")) == []
    assert detect(NOBODY) == []
    for name in (*eyes_module._FACES, *(name for names, *_ in eyes_module._SIGHTS for name in names)):
        assert not eyes_module._cascade(name).empty()


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    return portraits(8, SIDE)[[1, 2, 3, 4, 6, 7]]  # the cascades see no eyes in the other two


def canvas(*faces: tuple[np.ndarray, float, float, complex]) -> Photo:
    """Faces drawn into a photograph of 900x700: each with its scale, degrees, and where its middle is."""
    pixels = np.full((700, 900, 3), 150, np.uint8)
    for image, scale, degrees, middle in faces:
        back = np.exp(-1j * np.deg2rad(degrees)) / scale
        origin = (1 + 1j) * SIDE / 2 - back * middle
        way = (back.real, -back.imag, origin.real, back.imag, back.real, origin.imag)
        layer = Image.fromarray(np.dstack([image, np.full((SIDE, SIDE), 255, np.uint8)]))
        there = np.asarray(layer.transform((900, 700), Image.Transform.AFFINE, way, Image.Resampling.BICUBIC))
        pixels = np.where(there[:, :, 3:] == 255, there[:, :, :3], pixels)
    return Photo(pixels, "me.jpg")


def test_rendered_faces_are_found(drawn):
    found = [detect(canvas((image, 1, 0, 400 + 300j))) for image in drawn]
    assert [len(faces) for faces in found] == [1] * 6
    for (face,) in found:
        for at, eye in zip(face, DRAWN, strict=True):
            assert abs(at - (400 + 300j) + (1 + 1j) * SIDE / 2 - eye) < 0.2 * DRAWN.apart


@pytest.mark.parametrize(("scale", "degrees"), [(0.7, 0), (1.8, 8), (1.5, -30), (1.4, 28)])
def test_a_face_is_found_where_it_is_turned_to(drawn, scale, degrees):
    (plain,) = detect(canvas((drawn[3], 1, 0, 400 + 300j)))
    (face,) = detect(canvas((drawn[3], scale, degrees, 430 + 350j)))
    turn = scale * np.exp(1j * np.deg2rad(degrees))
    for at, eye in zip(face, plain, strict=True):
        assert abs(at - (430 + 350j) - turn * (eye - (400 + 300j))) < 0.05 * face.apart


@pytest.mark.parametrize(("scale", "degrees"), [(1.3, 0), (2.4, 20), (2.0, -35), (1.7, 80), (2.6, 5)])
def test_a_rendered_face_comes_back_from_its_eyes(drawn, scale, degrees):
    image, middle = drawn[0], 450 + 350j
    photo = canvas((image, scale, degrees, middle))
    about = (EYES[0] + EYES[1]) / 2  # the drawing is to lie with its middle here in the frame, at its own size
    at = [scale * np.exp(1j * np.deg2rad(degrees)) * (eye - about) + middle for eye in EYES]
    alignment = alignment_by_eyes(photo, (at[1].real, at[1].imag, at[0].real, at[0].imag))
    left, top = SIDE / 2 - about.real, SIDE / 2 - about.imag
    whole = (left, top, left + WIDTH, top + HEIGHT)
    expected = np.asarray(Image.fromarray(image).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, box=whole), int)
    inner = (slice(30, -30), slice(25, -25))
    found = align(photo.pixels, alignment).astype(int)[inner]
    moved = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]
    error = [np.abs(found - np.roll(expected, shift, (0, 1))[inner]).mean() for shift in moved]
    assert error[0] < 2.5 and error[0] < min(error[1:]) / 2


def test_two_faces_the_larger_first(drawn):
    photo = canvas((drawn[3], 0.8, 0, 200 + 350j), (drawn[1], 1.4, 0, 600 + 350j))
    assert [round(face.left.real + face.right.real) // 800 for face in detect(photo)] == [1, 0]
    with pytest.raises(InputError, match=r"me\.jpg has 2 faces: choose one with --face or --eyes: 1 at 6"):
        find_alignment(photo)
    assert find_alignment(photo, 2)[1].left.real < 300


def test_a_large_photograph_is_looked_at_smaller(drawn):
    small = canvas((drawn[3], 1, 0, 400 + 300j))
    large = Photo(np.asarray(Image.fromarray(small.pixels).resize((3600, 2800), Image.Resampling.BICUBIC)), "large.jpg")
    (face,), (plain,) = detect(large), detect(small)
    assert max(abs(at / 4 - eye) for at, eye in zip(face, plain, strict=True)) < 0.05 * plain.apart


def test_the_only_face(monkeypatch):
    seen(monkeypatch, face(300, 200, 80))
    alignment, found = find_alignment(NOBODY)
    np.testing.assert_allclose([alignment.turn * eye + alignment.shift for eye in EYES], found)
    assert alignment.eye_distance == pytest.approx(80)


def test_nobody():
    with pytest.raises(InputError, match=r"no face found in me\.jpg: say where the eyes are, with --eyes X Y X Y"):
        find_alignment(NOBODY)


def test_several_faces_are_listed(monkeypatch):
    seen(monkeypatch, face(300, 200, 80), face(100, 150, 40))
    with pytest.raises(InputError) as caught:
        find_alignment(NOBODY)
    assert str(caught.value) == (
        "me.jpg has 2 faces: choose one with --face or --eyes: 1 at 300 200 (80 pixels between the eyes); "
        "2 at 100 150 (40 pixels between the eyes)"
    )
    assert find_alignment(NOBODY, 2)[0].eye_distance == pytest.approx(40)
    for number in (0, 3, -1):
        with pytest.raises(InputError, match=rf"--face {number}, and me\.jpg has 2: 1 at 300 200"):
            find_alignment(NOBODY, number)


def test_a_tiny_face(monkeypatch):
    seen(monkeypatch, face(300, 200, 9))
    with pytest.raises(InputError, match=r"\(9 pixels between the eyes\) in me\.jpg is too small: 12 pixels"):
        find_alignment(NOBODY)


def test_without_opencv(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match="finding faces needs opencv-python-headless: install it, or give --eyes"):
        detect(NOBODY)


def test_an_opencv_without_cascades(monkeypatch):
    import cv2

    eyes_module._cascade.cache_clear()
    monkeypatch.delattr(cv2, "CascadeClassifier")
    with pytest.raises(InputError, match="has no cascades: pip install 'opencv-python-headless<5', or give --eyes"):
        detect(NOBODY)


def test_dlib_comes_first_where_it_is(monkeypatch):
    monkeypatch.setattr(eyes_module, "dlib_is_there", lambda: True)
    eyes = [(100 + 100j, 150 + 100j), (300 + 100j, 400 + 200j)]
    monkeypatch.setattr(eyes_module, "dlib_eyes", lambda gray: eyes if gray.shape == (768, 1024) else [])
    monkeypatch.setitem(sys.modules, "cv2", None)
    large, small = detect(Photo(np.zeros((1536, 2048, 3), np.uint8), "me.jpg"))
    assert small.apart == pytest.approx(100) and large.apart == pytest.approx(2 * abs(100 + 100j))
    assert small.left == pytest.approx(200 + 200j - 3.3j)  # CelebA's eyes are a little above dlib's
    with pytest.raises(InputError, match="opencv-python-headless"):  # where dlib finds nobody, the cascades look
        detect(NOBODY)


@pytest.mark.skipif(not landmarks.dlib_is_there(), reason="needs the extra identity")
def test_dlib_finds_the_eyes_of_every_rendered_face():
    for image in portraits(8, SIDE):  # of which the cascades find six
        (eyes,) = landmarks.dlib_eyes(np.asarray(Image.fromarray(image).convert("L")))
        assert max(abs(at - eye) for at, eye in zip(eyes, DRAWN, strict=True)) < 0.2 * DRAWN.apart
    assert landmarks.dlib_eyes(np.full((80, 120), 128, np.uint8)) == []
