"""Latents in; the ways between them, and their shifts along an attribute, out: as latents or as pictures."""

from collections.abc import Sequence
from typing import Literal, Protocol, get_args

import numpy as np
from scipy.special import log_ndtr, ndtri_exp

from jvae.errors import InputError, unknown
from jvae.latent.attribute import AttributeVector, Unit, check_same_weights

Trajectory = Literal["lerp", "slerp", "gaussian"]
FINE = 8  # points tried for each that `even_steps` gives


class Decodes(Protocol):
    """What is needed of a trained model: see `jvae.trained.TrainedModel`."""

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
      start: latent [d] at t = 0.
      end: latent [d] at t = 1.
      t: [s], places on the way, in [0,1].

    Returns:
      [s,d] float64.
    """
    start, end, t = (np.asarray(x, np.float64) for x in (start, end, t))
    largest = [np.abs(x).max(initial=0) for x in (start, end)]
    if not all(largest):
        return lerp(start, end, t)
    u, v = start / largest[0], end / largest[1]  # so that no square is too large or too small for float64
    norms = np.linalg.norm(u), np.linalg.norm(v)
    u, v = u / norms[0], v / norms[1]
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
    length = (1 - t) * largest[0] * norms[0] + t * largest[1] * norms[1]
    return length[:, None] * (np.cos(angle)[:, None] * u + np.sin(angle)[:, None] * aside)


def gaussian_lerp(start: np.ndarray, end: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Points that go evenly in probability: each coordinate is z(t) = Φ⁻¹((1 - t) Φ(start) + t Φ(end)).

    Φ is the standard normal's distribution function. It is 1 in float64 from 8.3 on, so the work is done in logarithms
    and in the nearer tail: far coordinates come back too, and the way from -a to -b mirrors that from a to b.

    Args:
      start: latent [d] at t = 0.
      end: latent [d] at t = 1.
      t: [s], places on the way, in [0,1].

    Returns:
      [s,d] float64, each coordinate between its two ends.
    """
    start, end, t = (np.asarray(x, np.float64) for x in (start, end, t))
    with np.errstate(divide="ignore"):  # the logarithm of an end's weight 0 is -inf, which counts for nothing
        log_start, log_end = np.log1p(-t)[:, None], np.log(t)[:, None]
    below = np.logaddexp(log_start + log_ndtr(start), log_end + log_ndtr(end))  # [s,d], log Φ(z)
    above = np.logaddexp(log_start + log_ndtr(-start), log_end + log_ndtr(-end))  # log Φ(-z)
    z = np.where(below < above, 1, -1) * ndtri_exp(np.minimum(below, above))
    return np.clip(z, np.minimum(start, end), np.maximum(start, end))


_POINTS_ON = {"lerp": lerp, "slerp": slerp, "gaussian": gaussian_lerp}


def morph(
    start: np.ndarray,
    end: np.ndarray,
    steps: int = 10,
    trajectory: Trajectory = "lerp",
    model: Decodes | None = None,
    even: Decodes | None = None,
) -> np.ndarray:
    """The way from one latent to another, both ends exact; or the ways between the rows of two arrays.

    Args:
      start: latent [d] or latents [n,d], float32.
      end: latent or latents of the same shape.
      steps: number of points, both ends included.
      trajectory: shape of the way, "lerp", "slerp" or "gaussian".
      model: model that decodes the points, all at once; None gives latents.
      even: model by whose pictures the points are spaced, see `even_steps`; None spaces them evenly along the way.

    Returns:
      [steps,d] or [n,steps,d] float32, the first and last bit for bit `start` and `end`; with a model uint8
      [...,steps,h,w,3].

    Raises:
      InputError: fewer than 2 steps, an unknown trajectory, or ends that are not of one such shape.
    """
    if steps < 2:
        raise InputError(f"steps={steps} must be at least 2: the two ends are steps")
    start, end = _ends(start, end)
    t = np.linspace(0, 1, steps) if even is None else even_steps(start, end, steps, trajectory, model=even)
    z = _points(start, end, t, trajectory)
    z[..., 0, :], z[..., -1, :] = start, end
    return decoded(z, model)


def between(start: np.ndarray, end: np.ndarray, t: float, trajectory: Trajectory = "lerp") -> np.ndarray:
    """The place `t` in [0,1] on the way from one latent [d] to another: [d] float32, at the ends bit for bit they.

    Raises:
      InputError: an unknown trajectory, or ends that are not of one such shape.
    """
    start, end = _ends(start, end)
    way = _points(start, end, np.array([t]), trajectory)[0]
    return start if t == 0 else end if t == 1 else way


def loop(
    z: np.ndarray,
    steps: int = 30,
    trajectory: Trajectory = "lerp",
    model: Decodes | None = None,
    even: Decodes | None = None,
) -> np.ndarray:
    """A closed tour: from each latent to the next, and from the last one back to the first.

    Played for ever, no point is shown twice in turn: each latent is there once, and the last point is a step before
    the first.

    Args:
      z: latents [n,d] float32, at least 2.
      steps: number of points from one latent to the next, on the average; the next one is not counted.
      trajectory: shape of the way, "lerp", "slerp" or "gaussian".
      model: model that decodes the points, all at once; None gives latents.
      even: model by whose pictures the points are spaced, over the whole tour; None gives each leg `steps` points.

    Returns:
      [n*steps,d] float32, the latents bit for bit among them: without `even` in the rows 0, steps, 2 * steps and so on.
      With a model uint8 [n*steps,h,w,3].

    Raises:
      InputError: fewer than 2 latents or than 1 step, or an unknown trajectory.
    """
    z = np.asarray(z, np.float32)
    if z.ndim != 2 or len(z) < 2:
        raise InputError(f"a loop needs latents [n,d], at least 2 of them, not {z.shape}")
    if steps < 1:
        raise InputError(f"steps={steps} must be at least 1")
    following = np.roll(z, -1, axis=0)
    if even is None:
        return decoded(morph(z, following, steps + 1, trajectory)[:, :-1].reshape(-1, z.shape[1]), model)
    t, gone = _gone(z, following, FINE * steps + 1, trajectory, even)
    legs = []
    for i, count in enumerate(_shares(gone[:, -1], len(z) * steps)):
        leg = _points(z[i], following[i], _evenly(t, gone[i], count + 1)[:-1], trajectory)
        leg[0] = z[i]
        legs.append(leg)
    return decoded(np.concatenate(legs), model)


def even_steps(
    start: np.ndarray, end: np.ndarray, steps: int, trajectory: Trajectory = "lerp", *, model: Decodes
) -> np.ndarray:
    """Where to stop on a way so that it looks equally fast everywhere: neighbours' pictures are equally far apart.

    The way is decoded at `FINE` times as many points, all at once. The distance of two pictures is the mean absolute
    difference of their pixels, which adds up along the way in spite of their rounding to whole numbers.

    Args:
      start: latent [d] or latents [n,d], float32.
      end: latent or latents of the same shape.
      steps: number of points, both ends included; at least 2.
      trajectory: shape of the way, "lerp", "slerp" or "gaussian".
      model: model that decodes the points.

    Returns:
      [steps] or [n,steps] float64, rising from 0 to 1; evenly where all pictures of a way are the same.

    Raises:
      InputError: fewer than 2 steps, an unknown trajectory, or ends that are not of one such shape.
    """
    if steps < 2:
        raise InputError(f"steps={steps} must be at least 2: the two ends are steps")
    start, end = _ends(start, end)
    t, gone = _gone(start, end, FINE * (steps - 1) + 1, trajectory, model)  # gone [...,m]
    found = [_evenly(t, row, steps) for row in gone.reshape(-1, len(t))]
    return np.reshape(found, (*gone.shape[:-1], steps))


def traversals(z: np.ndarray, dims: Sequence[int] | np.ndarray, values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Rows in which one dimension of a latent takes other values and all others stay.

    Args:
      z: latent [d].
      dims: [r], the dimension that changes in each row.
      values: [c], the values that it takes.

    Returns:
      [r,c,d] float32.

    Raises:
      InputError: `z` is not [d], or has not all of the dimensions.
    """
    z, dims = np.asarray(z, np.float32), np.asarray(dims)
    if z.ndim != 1 or not ((dims >= 0) & (dims < len(z))).all():
        raise InputError(f"dims={dims} must be dimensions of a latent [d], which has the shape {z.shape}")
    latents = np.tile(z, (len(dims), len(values), 1))
    latents[np.arange(len(dims)), :, dims] = np.asarray(values, np.float32)[None]
    return latents


def apply_vector(
    z: np.ndarray,
    vector: AttributeVector,
    factors: Sequence[float] | np.ndarray,
    unit: Unit = "unit",
    model: Decodes | None = None,
) -> np.ndarray:
    """Every latent shifted by every factor along an attribute: z + vector.shift(z, factors, unit).

    Args:
      z: latents [n,d] float32.
      vector: vector of the attribute.
      factors: [f], multiples of the vector to add; 0 leaves a latent as it is.
      unit: what a factor multiplies; see `AttributeVector.step` and `shift`.
      model: model that decodes the points, all at once; None gives latents.

    Returns:
      [n,f,d] float32; with a model uint8 [n,f,h,w,3].

    Raises:
      InputError: shapes that do not fit, no or not finite factors, an unknown unit, or a model of other weights than
        the vector's.
    """
    z, d = np.asarray(z, np.float32), len(vector.vector)
    if z.ndim != 2 or z.shape[1] != d:
        raise InputError(f"z must be latents [n,{d}], not {z.shape}")
    check_same_weights(vector, model)
    shifted = (z[:, None] + vector.shift(z, factors, unit)).astype(np.float32)
    return decoded(shifted, model)


def decoded(z: np.ndarray, model: Decodes | None) -> np.ndarray:
    """Pictures uint8 [...,h,w,3] of latents [...,d], all at once; without a model the latents."""
    if model is None:
        return z
    pictures = model.decode(z.reshape(-1, z.shape[-1]))
    return pictures.reshape(*z.shape[:-1], *pictures.shape[1:])


def _ends(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float32, if they are [d] or [n,d] and of one shape."""
    start, end = np.asarray(start, np.float32), np.asarray(end, np.float32)
    if start.ndim not in (1, 2) or start.shape != end.shape:
        raise InputError(f"start and end must be latents of one shape, [d] or [n,d], not {start.shape} and {end.shape}")
    return start, end


def _points(start: np.ndarray, end: np.ndarray, t: np.ndarray, trajectory: Trajectory) -> np.ndarray:
    """[...,d], [...,d], [s] or [...,s] -> float32 [...,s,d], the points of every way."""
    if trajectory not in _POINTS_ON:
        raise unknown("trajectory", trajectory, get_args(Trajectory))
    t = np.broadcast_to(t, (*start.shape[:-1], np.shape(t)[-1]))
    z = np.empty((*t.shape, start.shape[-1]), np.float32)
    for i in np.ndindex(start.shape[:-1]):
        z[i] = _POINTS_ON[trajectory](start[i], end[i], t[i])
    return z


def _gone(
    start: np.ndarray, end: np.ndarray, count: int, trajectory: Trajectory, model: Decodes
) -> tuple[np.ndarray, np.ndarray]:
    """Points t [s] on each way, and how far the picture has changed up to each, [...,s], by one decoder call."""
    t = (1 - np.cos(np.linspace(0, np.pi, count))) / 2  # closer at the ends, where "gaussian" is fastest
    pictures = decoded(_points(start, end, t, trajectory), model)
    gone = np.zeros(pictures.shape[: start.ndim])
    for k in range(1, count):
        moved = np.abs(pictures[..., k, :, :, :].astype(np.int16) - pictures[..., k - 1, :, :, :])
        gone[..., k] = gone[..., k - 1] + moved.mean((-3, -2, -1))
    return t, gone


def _evenly(t: np.ndarray, gone: np.ndarray, steps: int) -> np.ndarray:
    """Points [steps] within the range of `t`, as far apart in `gone` as they can be."""
    if not gone[-1]:
        return np.linspace(0, 1, steps)
    found = np.interp(np.linspace(0, gone[-1], steps), gone, t)
    found[0], found[-1] = 0, 1  # where the picture stands still at first, `interp` starts where it begins to move
    return found


def _shares(lengths: np.ndarray, total: int) -> np.ndarray:
    """[n] whole numbers, at least 1 each and `total` in all, in proportion to `lengths` [n]."""
    n, ends = len(lengths), np.cumsum(lengths if lengths.any() else np.ones(len(lengths)))
    first = np.arange(1, n + 1)
    knots = np.rint(total * ends / ends[-1]).astype(int)
    knots = first + np.maximum.accumulate(np.maximum(knots - first, 0))  # rising by 1 or more
    return np.diff(np.minimum(knots, total - n + first), prepend=0)
