"""Images in; their mirror images, left for right, out."""

from typing import Any

import numpy as np


def mirrored(images: Any) -> Any:
    """Images [...,h,w,c], of NumPy or JAX, with left and right exchanged."""
    return images[..., ::-1, :]


class WithMirrors:
    """An array of images and, after them, of their mirror images, [2n,h,w,c], which is read row by row.

    Args:
      images: [n,h,w,c], a memory map or an array that decodes its rows when asked for them.
    """

    def __init__(self, images: Any) -> None:
        self._images = images
        self.shape, self.ndim, self.dtype = (2 * len(images), *images.shape[1:]), images.ndim, images.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """The images [m,h,w,c] of rows int [m]; row n + i is the mirror image of row i."""
        n, rows = len(self._images), np.asarray(rows)
        found = np.asarray(self._images[rows % n])
        return np.where((rows >= n).reshape(-1, 1, 1, 1), mirrored(found), found)
