"""A small store of rendered faces, made once for all test files of a worker; and a few large ones."""

import functools
import tempfile
from pathlib import Path

import numpy as np

from jvae.data.packed import PackedStore, pack
from jvae.data.sources.face_drawing import draw
from jvae.data.sources.rendered import RenderedFaces, sample_factors


@functools.cache
def small_store(count: int = 120, size: int = 16) -> PackedStore:
    folder = Path(tempfile.mkdtemp(prefix="jvae-faces-")) / "store"
    return pack(RenderedFaces(count, size=size), folder, size=size, crop="center", progress=False)


@functools.cache
def portraits(count: int, side: int) -> np.ndarray:
    """The first rendered faces, large: uint8 [n,side,side,3]."""
    return np.rint(np.asarray(draw(sample_factors(0, np.arange(count)), side)) * 255).astype(np.uint8)
