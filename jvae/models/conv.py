"""Stride-2 convolution and its transpose, each with gradients made of fast pieces.

Both are built from three primitives over one kernel w [3,3,c,o], x [b,h,w,c] the large side, y [b,h/2,w/2,o] the small:

    down(x, w) = y      the strided convolution
    up(y, w) = x        its adjoint in x: the transposed convolution
    correlate(x, y) = w its adjoint in w

so the gradients of `down` are `up` and `correlate`, and those of `up` are `down` and `correlate`. "SAME" padding of
an even size by stride 2 pads one row below and one column right; the transpose drops them.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

LAYOUT = ("NHWC", "HWIO", "NHWC")
PADDING = ((0, 1), (0, 1))


@jax.custom_vjp
def down(x: jax.Array, w: jax.Array) -> jax.Array:
    """3x3 convolution, stride 2, "SAME" padding.

    Args:
      x: [b,h,w,c], h and w even.
      w: kernel [3,3,c,o], of the same dtype.

    Returns:
      [b,h/2,w/2,o].
    """
    return _down(x, w)


@jax.custom_vjp
def up(y: jax.Array, w: jax.Array) -> jax.Array:
    """Transpose of `down`: 3x3 transposed convolution, stride 2, "SAME" padding.

    Args:
      y: [b,h,w,o].
      w: kernel [3,3,c,o], of the same dtype; c is the number of output channels.

    Returns:
      [b,2h,2w,c].
    """
    return _up(y, w)


def _down_forward(x, w):
    return _down(x, w), (x, w)


def _down_backward(saved, dy):
    x, w = saved
    return _up(dy, w), _correlate(x, dy)


def _up_forward(y, w):
    return _up(y, w), (y, w)


def _up_backward(saved, dx):
    y, w = saved
    return _down(dx, w), _correlate(dx, y)


down.defvjp(_down_forward, _down_backward)
up.defvjp(_up_forward, _up_backward)


def _down_lax(x: jax.Array, w: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(x, w, (2, 2), PADDING, dimension_numbers=LAYOUT)


def _up_lax(y: jax.Array, w: jax.Array) -> jax.Array:
    b, h, width, _ = y.shape
    large = jax.ShapeDtypeStruct((b, 2 * h, 2 * width, w.shape[2]), y.dtype)
    return jax.linear_transpose(functools.partial(_down_lax, w=w), large)(y)[0]


def _correlate_lax(x: jax.Array, y: jax.Array) -> jax.Array:
    kernel = jax.ShapeDtypeStruct((3, 3, x.shape[3], y.shape[3]), x.dtype)
    return jax.linear_transpose(functools.partial(_down_lax, x), kernel)(y)[0]


def _up_phases(y: jax.Array, w: jax.Array) -> jax.Array:
    """`up` as one dense convolution for each of the four (row, column) parities, interleaved.

    Along an axis, out[2i] = y[i]·w[0] + y[i−1]·w[2] and out[2i+1] = y[i]·w[1]: no multiplication by the zeros of a
    dilated input, which XLA's CPU backend would do.
    """
    b, h, width, _ = y.shape
    taps = {0: (slice(None, None, -2), (1, 0)), 1: (slice(1, 2), (0, 0))}  # parity: taps in input order, padding
    kernel = w.swapaxes(2, 3)
    rows = []
    for i in (0, 1):
        columns = []
        for j in (0, 1):
            (row_taps, row_pad), (column_taps, column_pad) = taps[i], taps[j]
            part = kernel[row_taps, column_taps]
            columns.append(lax.conv_general_dilated(y, part, (1, 1), (row_pad, column_pad), dimension_numbers=LAYOUT))
        rows.append(jnp.stack(columns, axis=3))  # [b,h,w,2,c]
    return jnp.stack(rows, axis=2).reshape(b, 2 * h, 2 * width, -1)


def _patches(x: jax.Array) -> jax.Array:
    """The 3x3 neighbourhoods that `down` reads, [b,h/2,w/2,9c]."""
    b, h, width, c = x.shape
    padded = jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
    shifted = [
        lax.slice(padded, (0, i, j, 0), (b, i + h - 1, j + width - 1, c), (1, 2, 2, 1))
        for i in range(3)
        for j in range(3)
    ]
    return jnp.concatenate(shifted, axis=-1)


def _correlate_patches(x: jax.Array, y: jax.Array) -> jax.Array:
    """`correlate` as one matrix product of neighbourhoods and outputs."""
    c, o = x.shape[3], y.shape[3]
    return jnp.einsum("bhwo,bhwp->op", y, _patches(x)).T.reshape(3, 3, c, o)


def _down_patches(x: jax.Array, w: jax.Array) -> jax.Array:
    return jnp.einsum("bhwp,po->bhwo", _patches(x), w.reshape(-1, w.shape[3]))


def _down(x: jax.Array, w: jax.Array) -> jax.Array:
    return lax.platform_dependent(x, w, cpu=_down_patches, default=_down_lax)


def _up(y: jax.Array, w: jax.Array) -> jax.Array:
    return lax.platform_dependent(y, w, cpu=_up_phases, default=_up_lax)


def _correlate(x: jax.Array, y: jax.Array) -> jax.Array:
    return lax.platform_dependent(x, y, cpu=_correlate_patches, default=_correlate_lax)
