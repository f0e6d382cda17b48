"""What one reads with TensorFlow Datasets alone, where TensorFlow is not installed."""

import importlib
import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.peers.pillow import resized
from jvae.data.source import SPLITS


class DecodedByTFDS:
    """A prepared data set in ArrayRecord format, each example decoded by TFDS: train, then validation, then test.

    Attributes:
      how: what TFDS decodes JPEGs with.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        tfds: Any = importlib.import_module("tensorflow_datasets")
        builder = tfds.builder_from_directory(Path(path))
        splits = [split for split in SPLITS if split in builder.info.splits]
        self._parts = [builder.as_data_source(split, file_format="array_record") for split in splits]
        self.how = "OpenCV" if importlib.util.find_spec("cv2") else "Pillow"

    def image(self, row: int, size: int, crop: str) -> np.ndarray:
        """Image `row`, cropped and resized with Pillow: uint8 [size,size,3]."""
        for part in self._parts:
            if row < len(part):
                return resized(Image.fromarray(part[row]["image"]), size, crop)
            row -= len(part)
        raise IndexError(row)
