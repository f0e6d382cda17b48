"""Pictures of faces in; their eyes, and whose faces they are, out: dlib, which the extra identity brings.

The package face_recognition_models brings the weights. It is not imported, as it asks for pkg_resources, which newer
versions of setuptools lack.
"""

import functools
import importlib.util
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from jvae.errors import InputError

CHIP = 150  # pixels of a side of the pictures that dlib describes

_PACKAGES = ("dlib", "face_recognition_models")
_POINTS, _WHOSE = "shape_predictor_68_face_landmarks.dat", "dlib_face_recognition_resnet_model_v1.dat"
_EYES = (range(36, 42), range(42, 48))  # of the 68 points


def dlib_is_there() -> bool:
    """Whether the extra identity is installed."""
    return all(importlib.util.find_spec(name) for name in _PACKAGES)


def import_dlib() -> Any:
    """The package dlib.

    Raises:
      InputError: the extra identity is not installed.
    """
    if not dlib_is_there():
        raise InputError(
            "dlib needs the packages dlib-bin and face-recognition-models, which are not installed: "
            "pip install 'jvae[identity]'"
        )
    import dlib  # pyright: ignore[reportMissingImports]

    return dlib


def dlib_eyes(gray: np.ndarray) -> list[tuple[complex, complex]]:
    """The eyes of every face that dlib's detector finds, that further left first: each the mean of six points of 68.

    Args:
      gray: uint8 [h,w], a photograph.

    Raises:
      InputError: the extra identity is not installed.
    """
    found = []
    for box in _detector()(gray, 1):  # once enlarged, for faces from 40 pixels
        points = [complex(point.x + 0.5, point.y + 0.5) for point in _network(_POINTS)(gray, box).parts()]
        left, right = sorted((sum(points[i] for i in eye) / len(eye) for eye in _EYES), key=lambda eye: eye.real)
        found.append((left, right))
    return found


def dlib_descriptors(chips: Sequence[np.ndarray]) -> np.ndarray:
    """Descriptors of whose faces they are, by dlib on all cores: float64 [n,128].

    Args:
      chips: uint8 [150,150,3] each, the eyes level and about 52 pixels apart.

    Raises:
      InputError: the extra identity is not installed.
    """
    network = _network(_WHOSE)

    def describe(chip: np.ndarray) -> np.ndarray:
        return np.asarray(network.compute_face_descriptor(np.ascontiguousarray(chip)))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.array(list(pool.map(describe, chips))).reshape(len(chips), 128)


@functools.cache
def _detector() -> Any:
    return import_dlib().get_frontal_face_detector()


@functools.cache
def _network(weights: str) -> Any:
    """What one of the files of weights makes."""
    dlib = import_dlib()
    spec = importlib.util.find_spec("face_recognition_models")
    for folder in (spec and spec.submodule_search_locations) or ():
        if (path := Path(folder) / "models" / weights).is_file():
            return (dlib.shape_predictor if weights == _POINTS else dlib.face_recognition_model_v1)(str(path))
    raise InputError(f"face_recognition_models lacks its {weights}: install face-recognition-models anew")
