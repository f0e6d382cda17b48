"""Anti-aliased resize of a part of a picture, as products of small matrices.

The weights are those of Pillow's BILINEAR: a triangle over the input pixels, as wide as the scale. An output pixel has
only a few inputs, so the matrices are cut into bands of some outputs and the inputs those need. Pillow's loops take
nearly twice as long.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

# OpenBLAS keeps products of up to 2**18 multiplications to the thread that calls it. Above, its threads and the packing
# threads wait for one another: 1.5 ms an image in place of 0.2.
_MOST_WORK = 230_000
# Pictures of 64x64 that fit a cache together. Several at once also mean fewer calls between which threads hand on the
# GIL: with two threads an image takes 0.13 ms, decoding included, and 0.18 ms one by one.
TOGETHER = 8


class _Band(NamedTuple):
    inputs: slice
    outputs: slice
    weights: np.ndarray  # float32 [outputs, inputs], or its transpose with channels


def resize(pixels: np.ndarray, size: int, box: tuple[float, float, float, float]) -> np.ndarray:
    """The part of some pictures within `box`, resized; what is outside does not count.

    Args:
      pixels: uint8 [b,h,w,3]. Several at once are fastest: see `TOGETHER`.
      size: height and width of the result in pixels.
      box: left, top, right, bottom in pixels; may lie between them.

    Returns:
      uint8 [b,size,size,3], rounded.
    """
    left, top, right, bottom = box
    first, last = math.floor(left), math.ceil(right)
    count = len(pixels)
    tall = np.empty((count, size, 3 * (last - first)), np.float32)
    for inputs, outputs, weights in _bands(top, bottom, size, 1, 3 * (last - first)):
        rows = pixels[:, inputs, first:last].astype(np.float32)  # [b, i, w, 3]
        np.matmul(weights, rows.reshape(count, weights.shape[1], -1), out=tall[:, outputs])
    small = np.empty((count, size, 3 * size), np.float32)
    for inputs, outputs, weights in _bands(left - first, right - first, size, 3, size):
        np.matmul(tall[:, :, inputs], weights, out=small[:, :, outputs])
    small += np.float32(0.5)
    return small.astype(np.uint8).reshape(count, size, size, 3)


@functools.lru_cache(maxsize=128)  # images of a data set have few shapes
def _bands(low: float, high: float, outputs: int, channels: int, others: int) -> list[_Band]:
    """What makes `outputs` pixels of those from `low` to `high`.

    Args:
      low: where the first begins, in input pixels.
      high: where the last ends.
      outputs: how many.
      channels: 1 to weight whole rows, 3 to weight the pixels in a row, whose colours are interleaved.
      others: the extent of the picture along the other axis, in numbers.
    """
    scale = (high - low) / outputs
    first, last = math.floor(low), math.ceil(high)
    centers = low + (np.arange(outputs) + 0.5) * scale
    distance = np.abs(np.arange(first, last) + 0.5 - centers[:, None])  # [outputs, inputs]
    weights = np.maximum(0, 1 - distance / max(scale, 1.0))
    weights /= weights.sum(axis=1, keepdims=True)

    def work(width: int) -> float:
        return others * channels**2 * width * (width * scale + 2 * max(scale, 1))

    width = next((w for w in (32, 16, 8) if work(w) < _MOST_WORK), 4)
    bands = []
    for start in range(0, outputs, width):
        band = weights[start : start + width]
        used = np.flatnonzero(band.any(axis=0))
        band = band[:, used[0] : used[-1] + 1].astype(np.float32)
        at, to = first + used[0], start + len(band)
        inputs = slice(channels * at, channels * (at + band.shape[1]))
        if channels > 1:
            band = np.kron(band.T, np.eye(channels, dtype=np.float32))
        bands.append(_Band(inputs, slice(channels * start, channels * to), np.ascontiguousarray(band)))
    return bands
