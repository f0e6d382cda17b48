"""Stride-2 convolution and its transpose, each with gradients made of fast pieces.

Both are built from three primitives over one kernel w [3,3,c,o], x [b,h,w,c] the large side, y [b,h/2,w/2,o] the small:

    down(x, w) = y      the strided convolution
    up(y, w) = x        its adjoint in x: the transposed convolution
    correlate(x, y) = w its adjoint in w

so the gradients of `down` are `up` and `correlate`, and those of `up` are `down` and `correlate`. "SAME" padding of
an even size by stride 2 pads one row below and one column right; the transpose drops them.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

LAYOUT = ("NHWC", "HWIO", "NHWC")
PADDING = ((0, 1), (0, 1))
BLOCK_BYTES = 6 << 20
GROUPS = 4


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


def _down_product(x: jax.Array, w: jax.Array) -> jax.Array:
    """`down` as one matrix product of neighbourhoods and kernel."""
    return jnp.einsum("bhwp,po->bhwo", _patches(x), w.reshape(-1, w.shape[3]))


def _correlate_product(x: jax.Array, y: jax.Array) -> jax.Array:
    """`correlate` as matrix products of outputs and neighbourhoods, summed over GROUPS of the images.

    XLA shares one product with so long a sum badly between cores. And it transposes the first operand: the outputs,
    since the neighbourhoods are several times as large. A batch that is split over devices is not grouped: the groups'
    products would cross between devices before they are summed.
    """
    b, c = x.shape[0], x.shape[3]
    groups = math.gcd(b, GROUPS) if jax.device_count() == 1 else 1
    outputs, neighbourhoods = (v.reshape(groups, -1, v.shape[-1]) for v in (y, _patches(x)))
    products = jnp.einsum("gno,gnp->gop", outputs, neighbourhoods, preferred_element_type=jnp.float32)
    total = functools.reduce(jnp.add, products)  # as a reduction it would take as long as a product
    return total.T.reshape(3, 3, c, y.shape[3]).astype(x.dtype)


def _up_product(y: jax.Array, w: jax.Array) -> jax.Array:
    """`up` by matrix products that give each y its 3x3 contributions, a few images at a time.

    The contributions are nine times an output's size: of a whole batch they would leave the processor's caches.
    """
    b, h, width, _ = y.shape
    contributions = 9 * w.shape[2] * y.dtype.itemsize * y.size // y.shape[3]  # bytes
    blocks = 1
    while contributions > blocks * BLOCK_BYTES and b % (2 * blocks) == 0:
        blocks *= 2
    if blocks == 1:
        return _up_block(y, w)
    # every `blocks`-th image is of one block, so that a batch split over devices stays where it is
    groups = y.reshape(b // blocks, blocks, h, width, -1)

    def body(i: jax.Array, x: jax.Array) -> jax.Array:
        block = _up_block(lax.dynamic_index_in_dim(groups, i, 1, keepdims=False), w)
        return lax.dynamic_update_index_in_dim(x, block, i, 1)

    x = jnp.zeros((b // blocks, blocks, 2 * h, 2 * width, w.shape[2]), y.dtype)
    return lax.fori_loop(0, blocks, body, x).reshape(b, 2 * h, 2 * width, -1)


def _up_block(y: jax.Array, w: jax.Array) -> jax.Array:
    """`up` as one matrix product, its 3x3 contributions added where they overlap.

    Along an axis, out[2i] = y[i]·w[0] + y[i−1]·w[2] and out[2i+1] = y[i]·w[1].
    """
    c, o = w.shape[2:]
    b, h, width, _ = y.shape
    parts = jnp.einsum("bhwo,op->bhwp", y, w.reshape(-1, o).T).reshape(b, h, width, 3, 3, c)
    rows = _interleave(parts[..., 0, :, :], parts[..., 1, :, :], parts[..., 2, :, :], axis=1)  # [b,2h,w,3,c]
    return _interleave(rows[..., 0, :], rows[..., 1, :], rows[..., 2, :], axis=2)  # [b,2h,2w,c]


def _interleave(first: jax.Array, second: jax.Array, third: jax.Array, axis: int) -> jax.Array:
    """out[2i] = first[i] + third[i−1], out[2i+1] = second[i] along `axis`."""
    shifted = lax.slice_in_dim(third, 0, third.shape[axis] - 1, axis=axis)
    padding = [(0, 0)] * third.ndim
    padding[axis] = (1, 0)
    shape = list(first.shape)
    shape[axis] *= 2
    return jnp.stack([first + jnp.pad(shifted, padding), second], axis=axis + 1).reshape(shape)


# On a CPU, XLA lowers the dilated convolutions that the gradients would be to loops of its own (a kernel gradient takes
# up to 30 times as long as its matrix product), and inside of a loop strided ones as well; matrix products stay fast.
def _down(x: jax.Array, w: jax.Array) -> jax.Array:
    return lax.platform_dependent(x, w, cpu=_down_product, default=_down_lax)


def _up(y: jax.Array, w: jax.Array) -> jax.Array:
    return lax.platform_dependent(y, w, cpu=_up_product, default=_up_lax)


def _correlate(x: jax.Array, y: jax.Array) -> jax.Array:
    return lax.platform_dependent(x, y, cpu=_correlate_product, default=_correlate_lax)
