"""Normalisation: BatchNorm, LeakyReLU and Dropout, and GroupNorm and an activation, as functions with their gradients.

Differentiated piece by piece, the first three keep four arrays of the activations' size for the backward pass, and
dropout's random bits besides. Here only x is kept: the rest follows from a line per channel and is computed again.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jvae.runtime.hashing import bits


class Normalised(NamedTuple):
    """Activations [b,h,w,c], and the mean and variance [c] of the batch by which they were normalised, float32."""

    y: jax.Array
    mean: jax.Array
    var: jax.Array


def activate(y: jax.Array, a: jax.Array, s: jax.Array, slope: float) -> jax.Array:
    """LeakyReLU of y·a + s, in float32 within.

    Args:
      y: [b,h,w,c].
      a: [c], scale.
      s: [c], shift.
      slope: below 0.

    Returns:
      [b,h,w,c], of y's dtype.
    """
    line = y.astype(jnp.float32) * _channels(a) + _channels(s)
    return jnp.where(line >= 0, line, slope * line).astype(y.dtype)


def scale_and_shift(
    mean: jax.Array, var: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> tuple[jax.Array, jax.Array]:
    """The a and s [c] for which y·a + s is BatchNorm: (y − mean) / sqrt(var + ε) · scale + bias."""
    a = scale * lax.rsqrt(var + epsilon)
    return a, bias - mean * a


def norm_activate(
    x: jax.Array, scale: jax.Array, bias: jax.Array, words: jax.Array, epsilon: float, slope: float, rate: float
) -> Normalised:
    """Dropout of LeakyReLU of BatchNorm, by the batch's own mean and variance (Ioffe and Szegedy 2015, algorithm 1).

    The mean and variance that come out are for the running statistics: no gradient flows through them.

    Args:
      x: [b,h,w,c]; sums are float32 whatever its dtype.
      scale: [c] float32.
      bias: [c] float32.
      words: [2] uint32, the randomness of the dropout.
      epsilon: added to the variance.
      slope: of LeakyReLU below 0.
      rate: of dropout.
    """
    found: Any = _norm_activate(x, scale, bias, words, epsilon, slope, rate)
    return Normalised(*found)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6))
def _norm_activate(x, scale, bias, words, epsilon, slope, rate):
    return _forward(x, scale, bias, words, epsilon, slope, rate)[0]


def _forward(x, scale, bias, words, epsilon, slope, rate):
    mean, square = (_sum(value) / _rows(x) for value in (x.astype(jnp.float32), jnp.square(x.astype(jnp.float32))))
    var = jnp.maximum(square - mean * mean, 0)
    a, s = scale_and_shift(mean, var, scale, bias, epsilon)
    y = dropout(activate(x, a, s, slope), rate, words)
    return (y, mean, var), (x, mean, var, a, s, words)


def _backward(epsilon, slope, rate, saved, gradient):
    x, mean, var, a, s, words = saved
    dy = dropout(gradient[0].astype(jnp.float32), rate, words)
    x32 = x.astype(jnp.float32)
    dline = jnp.where(x32 * _channels(a) + _channels(s) >= 0, dy, slope * dy)  # with respect to y·a + s
    dbias = _sum(dline)
    inverse = lax.rsqrt(var + epsilon)
    dscale = inverse * (_sum(dline * x32) - mean * dbias)
    # a · (dline − mean of dline − x̂ · mean of dline·x̂), as a line in x
    slope_x = -a * inverse * dscale / _rows(x)
    dx = dline * _channels(a) + x32 * _channels(slope_x) - _channels(a * dbias / _rows(x) + slope_x * mean)
    return dx.astype(x.dtype), dscale, dbias, None


_norm_activate.defvjp(_forward, _backward)


def group_norm_activate(
    x: jax.Array, scale: jax.Array, bias: jax.Array, groups: int, epsilon: float, activation: Callable[[Any], Any]
) -> jax.Array:
    """An activation of GroupNorm (Wu and He 2018, equation 7): every image by the statistics of groups of its channels.

    Args:
      x: [b,h,w,c]; the mean and variance are float32 whatever its dtype.
      scale: [c] float32.
      bias: [c] float32.
      groups: of c / groups channels each.
      epsilon: added to the variance.
      activation: of each value, differentiable.

    Returns:
      [b,h,w,c], of x's dtype.
    """
    return _group_norm_activate(x, scale, bias, groups, epsilon, activation)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5))
def _group_norm_activate(x, scale, bias, groups, epsilon, activation):
    return _group_forward(x, scale, bias, groups, epsilon, activation)[0]


def _group_forward(x, scale, bias, groups, epsilon, activation):
    # A line in x for each image and channel: one pass over x for the sums, and one for the rest.
    x32 = x.astype(jnp.float32)
    mean, square = (_of_groups(jnp.mean(value, (1, 2)), groups) for value in (x32, jnp.square(x32)))  # [b,c]
    inverse = lax.rsqrt(jnp.maximum(square - mean * mean, 0) + epsilon)
    a = inverse * scale.reshape(1, -1)
    line = _images(a) * x32 + _images(bias.reshape(1, -1) - mean * a)
    return activation(line).astype(x.dtype), (x, mean, inverse, scale, bias)


def _group_backward(groups, epsilon, activation, saved, gradient):
    x, mean, inverse, scale, bias = saved
    x32, a, n = x.astype(jnp.float32), inverse * scale.reshape(1, -1), math.prod(x.shape[1:3])
    _, turn = jax.vjp(activation, _images(a) * x32 + _images(bias.reshape(1, -1) - mean * a))
    (dline,) = turn(gradient.astype(jnp.float32))
    total = jnp.sum(dline, (1, 2))  # [b,c]
    along = inverse * (jnp.sum(dline * x32, (1, 2)) - mean * total)  # of dline·x̂
    # a · dline − x̂'s part of it and its mean over the group, as a line in x
    slope = -inverse * inverse * _of_groups(scale.reshape(1, -1) * along, groups) / n
    shift = -inverse * _of_groups(scale.reshape(1, -1) * total, groups) / n - slope * mean
    dx = dline * _images(a) + x32 * _images(slope) + _images(shift)
    return dx.astype(x.dtype), along.sum(0), total.sum(0)


_group_norm_activate.defvjp(_group_forward, _group_backward)


def _of_groups(value: jax.Array, groups: int) -> jax.Array:
    """The mean over each group's channels, for every channel: [b,c] -> [b,c]."""
    b, c = value.shape
    return jnp.repeat(jnp.mean(value.reshape(b, groups, -1), 2), c // groups, axis=1)


def _images(v: jax.Array) -> jax.Array:
    return v.reshape(v.shape[0], 1, 1, -1)


def dropout(x: jax.Array, rate: float, words: jax.Array) -> jax.Array:
    """Zeroes elements of `x` at `rate` and scales the rest by 1/(1 − rate).

    What an element draws is a hash of its index and `words`: nothing is stored, the backward pass draws it again,
    and how the array is laid over devices does not matter.

    Args:
      x: any shape.
      rate: in [0, 1).
      words: [2] uint32.

    Returns:
      As x.
    """
    if not rate:
        return x
    keep = bits(words, x.shape) >= jnp.uint32(round(rate * 2**32))
    return jnp.where(keep, x * (1 / (1 - rate)), 0)


def _channels(v: jax.Array) -> jax.Array:
    return v.reshape(1, 1, 1, -1)


def _sum(x: jax.Array) -> jax.Array:
    return jnp.sum(x, (0, 1, 2))  # [c]


def _rows(x: jax.Array) -> int:
    return math.prod(x.shape[:-1])
