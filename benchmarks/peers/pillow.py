"""What one writes with Pillow alone."""

from pathlib import Path

import numpy as np
from PIL import Image

from jvae.data.packed import crop_box


def by_pillow(path: Path, size: int, crop: str) -> np.ndarray:
    """Decodes, crops and resizes the image at `path` to uint8 [size,size,3], with the filter that ours has."""
    return resized(Image.open(path).convert("RGB"), size, crop)


def resized(image: Image.Image, size: int, crop: str) -> np.ndarray:
    """Crops and resizes an RGB image to uint8 [size,size,3]."""
    image = image.crop(tuple(int(c) for c in crop_box(*image.size, crop)))  # pyright: ignore
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
