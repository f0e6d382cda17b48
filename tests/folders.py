"""Folders of small images of every format, and what a source makes of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jvae.data.packed import PackedStore, pack
from jvae.data.sources.folder import FolderSource
from jvae.errors import InputError
from tests.celeba_files import picture

SAVED = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "bmp": "BMP", "tif": "TIFF", "gif": "GIF"}


def write(root: Path, *names: str, size: int = 20) -> list[str]:
    """Images of these paths, each another, in the format that its suffix says."""
    for i, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        options = {"lossless": True} if name.endswith("webp") else {}
        Image.fromarray(picture(i, size, size)).save(path, SAVED.get(name.rpartition(".")[2].lower(), "PNG"), **options)
    return list(names)


def packed(source: FolderSource, out: Path, size: int = 16) -> PackedStore:
    return pack(source, out, size=size, crop="squash", progress=False)


def reference(path: Path, size: int = 16) -> np.ndarray:
    """What Pillow makes of an image: its first picture, resized."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))


def labels_of(source: FolderSource) -> dict[str, dict[str, bool]]:
    rows = [dict(zip(source.attribute_names, row, strict=True)) for row in source.attrs.tolist()]
    return dict(zip(source.image_ids.tolist(), rows, strict=True))


def said(*args: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        FolderSource(*args, **options)
    assert str(caught.value).isprintable()
    return str(caught.value)
