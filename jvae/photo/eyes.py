"""A photograph in; its faces with the middles of their eyes out.

By dlib's 68 points, where the extra identity is installed and finds a face, and by the Haar cascades that come with
OpenCV otherwise.
"""

import functools
import itertools
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from jvae.errors import InputError
from jvae.photo.frame import EYES, FEWEST, Alignment, Photo, align, alignment_by_eyes
from jvae.photo.landmarks import dlib_eyes, dlib_is_there

_LONGEST = 1024  # pixels of the longer side in which faces are looked for
_TURNS = (0, 30, -30)  # degrees by which the photograph is turned, one after the other, until faces are found
_ABOVE = 0.033  # CelebA's eyes above the middles of dlib's points, in distances between the eyes: the mean of 58 faces
_IN_BOX = (0.316 + 0.387j, 0.684 + 0.387j)  # where the eyes are in the box of a face, the mean of 186 of CelebA
_ZOOM = 3  # of CelebA's frame, in which eyes are looked for
_FACES = ("frontalface_alt2", "frontalface_default")  # the second where the first finds nobody
# What finds an eye, how many boxes must agree, and how far below their middle the eye is in CelebA's frame; each where
# those before it find none. The last are for closed eyes and for glasses.
_SIGHTS = (
    (("eye", "eye_tree_eyeglasses"), 3, 0),
    (("eye", "eye_tree_eyeglasses"), 1, 0),
    (("lefteye_2splits", "righteye_2splits"), 3, 3.1j),
)


class DetectedFace(NamedTuple):
    """The middles of a face's eyes, the one further left first, in pixels of the photograph."""

    left: complex
    right: complex

    @property
    def apart(self) -> float:
        """Pixels between the eyes."""
        return abs(self.right - self.left)

    def __str__(self) -> str:
        """Where it is, in words."""
        middle = (self.left + self.right) / 2
        return f"at {middle.real:.0f} {middle.imag:.0f} ({self.apart:.0f} pixels between the eyes)"


def find_alignment(photo: Photo, number: int | None = None) -> tuple[Alignment, DetectedFace]:
    """The alignment of the only face in a photograph, or of one of several.

    Args:
      photo: to look in.
      number: of the face, from 1 for the largest; None where there is only one.

    Raises:
      InputError: no face, several and none chosen, no such number, a face that is too small, or OpenCV has no cascades.
    """
    faces = detect(photo)
    if not faces:
        raise InputError(f"no face found in {photo.name}: say where the eyes are, with --eyes X Y X Y in pixels")
    listed = "; ".join(f"{i} {face}" for i, face in enumerate(faces, 1))
    if number is None and len(faces) > 1:
        raise InputError(f"{photo.name} has {len(faces)} faces: choose one with --face or --eyes: {listed}")
    if number is not None and not 1 <= number <= len(faces):
        raise InputError(f"--face {number}, and {photo.name} has {len(faces)}: {listed}")
    face = faces[(number or 1) - 1]
    if face.apart < FEWEST:
        raise InputError(
            f"the face {face} in {photo.name} is too small: {FEWEST} pixels are the fewest; give a larger photograph"
        )
    return alignment_by_eyes(photo, (face.left.real, face.left.imag, face.right.real, face.right.imag)), face


def detect(photo: Photo) -> list[DetectedFace]:
    """The faces of a photograph of which both eyes are seen, the largest first."""
    gray = Image.fromarray(photo.pixels).convert("L")
    scale = max(1.0, max(gray.size) / _LONGEST)
    if scale > 1:
        gray = gray.resize(
            (max(1, round(gray.width / scale)), max(1, round(gray.height / scale))), Image.Resampling.BICUBIC
        )
    seen = dlib_eyes(np.asarray(gray)) if dlib_is_there() else []
    ups = [_ABOVE * 1j * (right - left) for left, right in seen]
    faces = [DetectedFace(*(scale * (eye - up) for eye in eyes)) for eyes, up in zip(seen, ups, strict=True)]
    faces = faces or _by_cascades(photo, gray, scale)
    return sorted(faces, key=lambda face: -face.apart)


def _by_cascades(photo: Photo, gray: Image.Image, scale: float) -> list[DetectedFace]:
    """The faces that OpenCV finds in a photograph; `gray` is it with `scale` of its pixels to one."""
    cv2 = _opencv()
    for degrees, name in itertools.product(_TURNS, _FACES):
        turn = complex(np.exp(1j * np.deg2rad(degrees)))
        turned, shift = _turned(gray, turn)
        boxes = _cascade(name).detectMultiScale(
            cv2.equalizeHist(turned), scaleFactor=1.1, minNeighbors=4, minSize=(32, 32)
        )
        found = []
        for x, y, side, _ in np.asarray(boxes, float).reshape(-1, 4):
            left, right = (scale * (turn * (complex(x, y) + side * eye) + shift) for eye in _IN_BOX)
            found.append(_look(photo.pixels, DetectedFace(left, right)))
        if faces := [face for face in found if face]:
            return faces
    return []


def _turned(gray: Image.Image, turn: complex) -> tuple[np.ndarray, complex]:
    """The picture turned about its middle, uint8 [h,w], and the shift: a point of it lies at turn * point + shift."""
    if turn == 1:
        return np.asarray(gray), 0
    side = round(abs(complex(*gray.size)))
    shift = complex(*gray.size) / 2 - turn * complex(side, side) / 2
    way = (turn.real, -turn.imag, shift.real, turn.imag, turn.real, shift.imag)
    return np.asarray(gray.transform((side, side), Image.Transform.AFFINE, way, Image.Resampling.BILINEAR)), shift


def _look(pixels: np.ndarray, guess: DetectedFace) -> DetectedFace | None:
    """The face near a guess; None if one of its eyes is not seen there, or what is seen fits the guess badly."""
    left, right = guess
    seen = []
    for _ in range(2):  # the second time in a frame that the first has put right
        turn = (right - left) / (EYES[1] - EYES[0])
        alignment = Alignment(turn, left - turn * EYES[0])
        gray = np.asarray(Image.fromarray(align(pixels, alignment, _ZOOM)).convert("L"))
        seen = [_eye(gray, eye) for eye in EYES]
        moved = [at - eye for at, eye in zip(seen, EYES, strict=True) if at is not None]
        if not moved:
            return None
        both = (eye + sum(moved) / len(moved) if at is None else at for at, eye in zip(seen, EYES, strict=True))
        left, right = (alignment.turn * eye + alignment.shift for eye in both)
    face = DetectedFace(left, right)
    return face if None not in seen and 0.7 < face.apart / guess.apart < 1.4 else None


def _eye(gray: np.ndarray, near: complex) -> complex | None:
    """The middle of an eye in the frame, from a picture of the frame at `_ZOOM`; None where none is seen."""
    apart = _ZOOM * abs(EYES[1] - EYES[0])
    reach = complex(0.5, 0.45) * apart
    left, top = round(_ZOOM * near.real - reach.real), round(_ZOOM * near.imag - reach.imag)
    window = gray[top : top + round(2 * reach.imag), left : left + round(2 * reach.real)]
    for names, neighbours, below in _SIGHTS:
        middles = []
        for name in names:
            for mirrored in (False, True):  # boxes lie a pixel of the frame too far left, so in a mirror too far right
                boxes = _cascade(name).detectMultiScale(
                    np.ascontiguousarray(window[:, ::-1]) if mirrored else window,
                    scaleFactor=1.05,
                    minNeighbors=neighbours,
                    minSize=(round(0.4 * apart), round(0.4 * apart)),
                )
                for x, y, width, height in np.asarray(boxes, float).reshape(-1, 4):
                    across = x + width / 2
                    across = window.shape[1] - across if mirrored else across
                    middles.append(complex(left + across, top + y + height / 2) / _ZOOM)
        if middles:
            return complex(np.median(np.real(middles)), np.median(np.imag(middles))) + below
    return None


def _opencv() -> Any:
    try:
        import cv2  # slow to import, and not needed where the eyes are given
    except ImportError:
        raise InputError("finding faces needs opencv-python-headless: install it, or give --eyes X Y X Y") from None
    return cv2


@functools.cache
def _cascade(name: str) -> Any:
    """One of OpenCV's cascades."""
    cv2 = _opencv()
    if not hasattr(cv2, "CascadeClassifier"):
        raise InputError(
            f"OpenCV {cv2.__version__} has no cascades: pip install 'opencv-python-headless<5', or give --eyes X Y X Y"
        )
    cascade = cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_{name}.xml")
    if cascade.empty():
        raise InputError(f"OpenCV {cv2.__version__} lacks its cascade {name}: install it anew, or give --eyes X Y X Y")
    return cascade
