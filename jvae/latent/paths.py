"""Latents in; the ways between them, and their shifts along an attribute, out: as latents or as pictures."""

from collections.abc import Sequence
from typing import Literal, Protocol, get_args

import numpy as np

from jvae.errors import InputError, unknown
from jvae.latent.attribute import AttributeVector, Unit

Path = Literal["lerp", "slerp"]


class Decoder(Protocol):
    """What is needed of a trained model: see `jvae.frozen.Model`."""

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Latents [n,d] float32 -> pictures [n,h,w,3] uint8."""
        ...


def lerp(start: np.ndarray, end: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Points on the straight line: [d], [d], [s] in [0,1] -> [s,d] float64."""
    t = np.asarray(t, np.float64)[:, None]
    return (1 - t) * start + t * end


def slerp(start: np.ndarray, end: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Points on the arc: the direction turns at an even rate while the length goes evenly from one to the other.

    For equal lengths it is Shoemake's (1985) spherical interpolation. Between parallel points, or from or to zero,
    it is `lerp`; between opposite ones it turns by way of the axis in which they are smallest.

    Args:
      start: [d].
      end: [d].
      t: [s] in [0,1].

    Returns:
      [s,d] float64.
    """
    start, end, t = (np.asarray(x, np.float64) for x in (start, end, t))
    lengths = np.linalg.norm(start), np.linalg.norm(end)
    if not all(lengths):
        return lerp(start, end, t)
    u, v = start / lengths[0], end / lengths[1]
    cosine = u @ v
    aside = v - cosine * u  # the part of v that u lacks
    sine = np.linalg.norm(aside)
    if sine < 1e-6:
        if cosine > 0 or len(u) == 1:
            return lerp(start, end, t)
        axis = np.zeros_like(u)
        axis[np.argmin(np.abs(u))] = 1
        aside, sine = axis - (axis @ u) * u, 0.0
    aside = aside / np.linalg.norm(aside)
    angle = np.arctan2(sine, cosine) * t  # [s]
    length = (1 - t) * lengths[0] + t * lengths[1]
    return length[:, None] * (np.cos(angle)[:, None] * u + np.sin(angle)[:, None] * aside)


def morph(
    start: np.ndarray, end: np.ndarray, steps: int = 10, path: Path = "lerp", model: Decoder | None = None
) -> np.ndarray:
    """The way from one latent to another, both ends exact.

    Args:
      start: [d] float32.
      end: [d] float32.
      steps: points, the ends included.
      path: "lerp" or "slerp".
      model: decodes the points, all at once.

    Returns:
      [steps,d] float32, the first and last bit for bit `start` and `end`; with a model uint8 [steps,h,w,3].

    Raises:
      InputError: fewer than 2 steps, an unknown path, or ends that are not two [d].
    """
    if steps < 2:
        raise InputError(f"steps={steps} must be at least 2: the two ends are steps")
    if path not in (paths := {"lerp": lerp, "slerp": slerp}):
        raise unknown("path", path, get_args(Path))
    start, end = np.asarray(start, np.float32), np.asarray(end, np.float32)
    if start.ndim != 1 or start.shape != end.shape:
        raise InputError(f"start and end must be latents of one shape [d], not {start.shape} and {end.shape}")
    z = paths[path](start, end, np.linspace(0, 1, steps)).astype(np.float32)
    z[0], z[-1] = start, end
    return z if model is None else model.decode(z)


def traversals(z: np.ndarray, dims: Sequence[int] | np.ndarray, places: Sequence[float] | np.ndarray) -> np.ndarray:
    """Rows in which one dimension of a latent takes other values and all others stay.

    Args:
      z: [d].
      dims: [r], the dimension of each row.
      places: [c], the values it takes.

    Returns:
      [r,c,d] float32.

    Raises:
      InputError: `z` is not [d], or has not all of the dimensions.
    """
    z, dims = np.asarray(z, np.float32), np.asarray(dims)
    if z.ndim != 1 or not ((dims >= 0) & (dims < len(z))).all():
        raise InputError(f"dims={dims} must be dimensions of a latent [d], which has the shape {z.shape}")
    latents = np.tile(z, (len(dims), len(places), 1))
    latents[np.arange(len(dims)), :, dims] = np.asarray(places, np.float32)[None]
    return latents


def apply_vector(
    z: np.ndarray,
    vector: AttributeVector,
    factors: Sequence[float] | np.ndarray,
    unit: Unit = "unit",
    model: Decoder | None = None,
) -> np.ndarray:
    """Every latent shifted by every factor along an attribute: z + vector.shift(z, factors, unit).

    Args:
      z: [n,d] float32.
      vector: of the attribute.
      factors: [f]; 0 leaves a latent as it is.
      unit: what a factor means; see `AttributeVector.step` and `shift`.
      model: decodes the points, all at once.

    Returns:
      [n,f,d] float32; with a model uint8 [n,f,h,w,3].

    Raises:
      InputError: shapes that do not fit, no or not finite factors, an unknown unit.
    """
    z, d = np.asarray(z, np.float32), len(vector.vector)
    if z.ndim != 2 or z.shape[1] != d:
        raise InputError(f"z must be latents [n,{d}], not {z.shape}")
    shifted = (z[:, None] + vector.shift(z, factors, unit)).astype(np.float32)
    if model is None:
        return shifted
    pictures = model.decode(shifted.reshape(-1, z.shape[1]))
    return pictures.reshape(*shifted.shape[:2], *pictures.shape[1:])
