"""A small store of rendered faces, made once for all test files of a worker."""

import functools
import tempfile
from pathlib import Path

from jvae.data.packed import PackedStore, pack
from jvae.data.synthetic import RenderedFaces


@functools.cache
def small_store(count: int = 120, size: int = 16) -> PackedStore:
    folder = Path(tempfile.mkdtemp(prefix="jvae-faces-")) / "store"
    return pack(RenderedFaces(count, size=size), folder, size=size, crop="center", progress=False)
