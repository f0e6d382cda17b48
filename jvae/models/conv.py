"""3x3 convolutions of stride 2 and 1 and their transposes, each with gradients made of fast pieces.

Those of stride 2 are built from three primitives over one kernel w [3,3,c,o], x [b,h,w,c] the large side,
y [b,h/2,w/2,o] the small:

    down(x, w) = y      the strided convolution
    up(y, w) = x        its adjoint in x: the transposed convolution
    correlate(x, y) = w its adjoint in w

so the gradients of `down` are `up` and `correlate`, and those of `up` are `down` and `correlate`. "SAME" padding of
an even size by stride 2 pads one row below and one column right; the transpose drops them.

The adjoint of `same`, of stride 1, is `same` by the kernel turned around.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from jvae.runtime.xla import calls_libraries

LAYOUT = ("NHWC", "HWIO", "NHWC")
PADDING = ((0, 1), (0, 1))
THIN = 4  # input channels up to which a strided convolution is no library's
GROUPS = 4
FEW = {False: 8, True: 16}  # images whose kernel gradient is one convolution, as XLA's own kernels or a library's


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


@jax.custom_vjp
def same(x: jax.Array, w: jax.Array) -> jax.Array:
    """3x3 convolution, stride 1, "SAME" padding.

    Args:
      x: [b,h,w,c].
      w: kernel [3,3,c,o], of the same dtype.

    Returns:
      [b,h,w,o].
    """
    return _same(x, w)


def same_of_few(x: jax.Array, w: jax.Array) -> jax.Array:
    """`same` where an image has few channels: of 2x2 pixels at a time, as one with four times the channels.

    That has four times the products, most of them by zeros, and takes less time all the same: on two cores 32 images of
    64x64x8 to 3 channels take 12 ms by `same` and 6 by this, with their gradients 34 and 25.

    Args:
      x: [b,h,w,c], h and w even, as [b,h/2,w/2,4c]: see `space_to_depth`.
      w: kernel [3,3,c,o], of the same dtype.

    Returns:
      [b,h,w,o], likewise as [b,h/2,w/2,4o].
    """
    c, o = w.shape[2:]
    taps = jnp.asarray(_TAPS, w.dtype)
    wide = jnp.einsum("iaup,jbvq,ijco->abuvcpqo", taps, taps, w, precision=lax.Precision.HIGHEST)
    return same(x, wide.reshape(3, 3, 4 * c, 4 * o))


# [tap, block, place within the block read, place within the block written]: 1 where the tap of an output reads that
_TAPS = [
    [
        [[float(2 * (block - 1) + read == write + tap - 1) for write in range(2)] for read in range(2)]
        for block in range(3)
    ]
    for tap in range(3)
]


def space_to_depth(x: jax.Array, k: int) -> jax.Array:
    """Images [b,h,w,c] as [b,h/k,w/k,k·k·c]: the channels of k x k pixels one after the other."""
    b, h, width, c = x.shape
    blocks = x.reshape(b, h // k, k, width // k, k, c).swapaxes(2, 3)
    return blocks.reshape(b, h // k, width // k, k * k * c)


def depth_to_space(x: jax.Array, k: int) -> jax.Array:
    """The inverse of `space_to_depth` (Shi et al. 2016, equation 4)."""
    b, h, width, c = x.shape
    blocks = x.reshape(b, h, width, k, k, c // k**2).swapaxes(2, 3)
    return blocks.reshape(b, h * k, width * k, c // k**2)


def interpolate(x: jax.Array, k: int) -> jax.Array:
    """Images enlarged k times by linear interpolation along both axes, [b,h,w,c] to [b,k·h,k·w,c]."""
    return _interpolate(_interpolate(x, k, 1), k, 2)


def _interpolate(x: jax.Array, k: int, axis: int) -> jax.Array:
    first, last = (lax.slice_in_dim(x, i, i + 1, axis=axis) for i in (0, x.shape[axis] - 1))
    before = jnp.concatenate([first, lax.slice_in_dim(x, 0, x.shape[axis] - 1, axis=axis)], axis)
    after = jnp.concatenate([lax.slice_in_dim(x, 1, x.shape[axis], axis=axis), last], axis)
    parts = []
    for i in range(k):
        place = (i + 0.5) / k - 0.5  # from the middle of a pixel, in its widths
        parts.append((1 - abs(place)) * x + abs(place) * (after if place > 0 else before))
    shape = list(x.shape)
    shape[axis] *= k
    return lax.optimization_barrier(jnp.stack(parts, axis + 1).reshape(shape))


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


def _same_forward(x, w):
    return _same(x, w), (x, w)


def _same_backward(saved, dy):
    x, w = saved
    return _same(dy, w[::-1, ::-1].swapaxes(2, 3)), _correlate_same(x, dy)


down.defvjp(_down_forward, _down_backward)
up.defvjp(_up_forward, _up_backward)
same.defvjp(_same_forward, _same_backward)


def _same(x: jax.Array, w: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(x, w, (1, 1), ((1, 1), (1, 1)), dimension_numbers=LAYOUT)


def _correlate_same_lax(x: jax.Array, y: jax.Array) -> jax.Array:
    kernel = jax.ShapeDtypeStruct((3, 3, x.shape[3], y.shape[3]), x.dtype)
    return jax.linear_transpose(functools.partial(_same, x), kernel)(y)[0]


def _correlate_same_blocks(x: jax.Array, y: jax.Array) -> jax.Array:
    """The adjoint of `same` in its kernel, a few images at a time: channels as the batch, images as the channels.

    That is the convolution which autodiff gives, but in the one layout for which XLA has a fast kernel inside of loops
    as well: on two cores 32 images of 16x16x64 take 7 ms, their matrix product 20 and autodiff's convolution, inside of
    a loop, 1,250. The side with more channels gives those that come out: 12 of them would leave most of a vector empty.
    All images at once would leave the caches. A batch that is split over devices is one block: the blocks would cross
    between devices one by one.
    """
    if x.shape[3] > y.shape[3]:
        return _correlate_same_blocks(y, x)[::-1, ::-1].swapaxes(2, 3)
    b, few = x.shape[0], FEW[calls_libraries()]
    blocks = -(-b // few) if jax.device_count() == 1 else 1
    size = -(-b // blocks)
    padding = ((0, size * blocks - b), (0, 0), (0, 0), (0, 0))  # images of zeros, which add nothing
    xs, ys = (jnp.pad(v, padding).reshape(size, blocks, *v.shape[1:]) for v in (x, y))

    def block(i: jax.Array | int) -> jax.Array:
        lhs, rhs = (lax.dynamic_index_in_dim(v, i, 1, keepdims=False) for v in (xs, ys))
        return lax.conv_general_dilated(
            lhs.transpose(3, 1, 2, 0),  # [c,h,w,b]
            rhs.transpose(1, 2, 0, 3),  # [h,w,b,o]
            (1, 1),
            ((1, 1), (1, 1)),
            dimension_numbers=LAYOUT,
            preferred_element_type=jnp.float32,
        )  # [c,3,3,o]

    total = lax.fori_loop(1, blocks, lambda i, total: total + block(i), block(0))
    return total.transpose(1, 2, 0, 3).astype(x.dtype)


def _down_lax(x: jax.Array, w: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(x, w, (2, 2), PADDING, dimension_numbers=LAYOUT)


def _up_lax(y: jax.Array, w: jax.Array) -> jax.Array:
    b, h, width, _ = y.shape
    large = jax.ShapeDtypeStruct((b, 2 * h, 2 * width, w.shape[2]), y.dtype)
    return jax.linear_transpose(functools.partial(_down_lax, w=w), large)(y)[0]


def _correlate_lax(x: jax.Array, y: jax.Array) -> jax.Array:
    kernel = jax.ShapeDtypeStruct((3, 3, x.shape[3], y.shape[3]), x.dtype)
    return jax.linear_transpose(functools.partial(_down_lax, x), kernel)(y)[0]


def _correlate_taps(x: jax.Array, y: jax.Array) -> jax.Array:
    """`correlate` as a matrix product a tap, each summed over GROUPS of the images, see `_correlate_product`."""
    c, outputs = x.shape[3], _grouped(y)

    def product(inputs: jax.Array) -> jax.Array:
        products = jnp.einsum("gnc,gno->gco", _grouped(inputs), outputs, preferred_element_type=jnp.float32)
        return functools.reduce(jnp.add, products)

    return jnp.stack([product(inputs) for inputs in _taps(x)]).reshape(3, 3, c, -1).astype(x.dtype)


def _taps(x: jax.Array) -> list[jax.Array]:
    """What each of the nine taps of `down` reads, [b,h/2,w/2,c], row by row."""
    b, h, width, c = x.shape
    padded = jnp.pad(x, ((0, 0), *PADDING, (0, 0)))
    return [
        lax.slice(padded, (0, i, j, 0), (b, i + h - 1, j + width - 1, c), (1, 2, 2, 1))
        for i in range(3)
        for j in range(3)
    ]


def _patches(x: jax.Array) -> jax.Array:
    """The 3x3 neighbourhoods that `down` reads, [b,h/2,w/2,9c]."""
    return jnp.concatenate(_taps(x), axis=-1)


def _grouped(v: jax.Array) -> jax.Array:
    """Images [b,h,w,c] as GROUPS of places, [g,n,c]; one group of a batch that is split over devices."""
    groups = math.gcd(v.shape[0], GROUPS) if jax.device_count() == 1 else 1
    return v.reshape(groups, -1, v.shape[3])


def _down_product(x: jax.Array, w: jax.Array) -> jax.Array:
    """`down` as one matrix product of neighbourhoods and kernel."""
    return jnp.einsum("bhwp,po->bhwo", _patches(x), w.reshape(-1, w.shape[3]))


def _correlate_product(x: jax.Array, y: jax.Array) -> jax.Array:
    """`correlate` as matrix products of outputs and neighbourhoods, summed over GROUPS of the images.

    XLA shares one product with so long a sum badly between cores. And it transposes the first operand: the outputs,
    since the neighbourhoods are several times as large. A batch that is split over devices is not grouped: the groups'
    products would cross between devices before they are summed.
    """
    products = jnp.einsum("gno,gnp->gop", _grouped(y), _grouped(_patches(x)), preferred_element_type=jnp.float32)
    total = functools.reduce(jnp.add, products)  # as a reduction it would take as long as a product
    return total.T.reshape(3, 3, x.shape[3], y.shape[3]).astype(x.dtype)


def _up_product(y: jax.Array, w: jax.Array) -> jax.Array:
    """`up` as one matrix product that gives each y its 3x3 contributions, added where they overlap in one pass.

    Along an axis, out[2i] = y[i]·w[0] + y[i−1]·w[2] and out[2i+1] = y[i]·w[1].
    """
    c, o = w.shape[2:]
    b, h, width, _ = y.shape
    parts = jnp.einsum("bhwo,op->bhwp", y, w.reshape(-1, o).T).reshape(b, h, width, 3, 3, c)

    def part(i: int, j: int) -> jax.Array:
        below, right = i // 2, j // 2
        kept = parts[:, : h - below, : width - right, i, j]
        return jnp.pad(kept, ((0, 0), (below, 0), (right, 0), (0, 0)))

    even = jnp.stack([part(0, 0) + part(0, 2) + part(2, 0) + part(2, 2), part(0, 1) + part(2, 1)], axis=3)
    odd = jnp.stack([part(1, 0) + part(1, 2), part(1, 1)], axis=3)
    whole = jnp.stack([even, odd], axis=2).reshape(b, 2 * h, 2 * width, c)
    return lax.optimization_barrier(whole)  # else XLA fuses it with what reads it, and then without vectors


# On a CPU, XLA by itself lowers the dilated convolutions that the gradients would be to loops of its own (a kernel
# gradient takes up to 30 times as long as its product), and inside of a loop strided ones as well; matrix products
# stay fast. Libraries' kernels, which it has from 0.12 on, are fast for forward convolutions wherever they stand, but
# of those of THIN inputs, which it keeps to itself. What a thin one and its kernel gradient read is then made once.
def _by_library(x: jax.Array) -> bool:
    return calls_libraries() and x.shape[3] > THIN


def _down(x: jax.Array, w: jax.Array) -> jax.Array:
    return lax.platform_dependent(x, w, cpu=_down_lax if _by_library(x) else _down_product, default=_down_lax)


def _up(y: jax.Array, w: jax.Array) -> jax.Array:
    return lax.platform_dependent(y, w, cpu=_up_product, default=_up_lax)


def _correlate(x: jax.Array, y: jax.Array) -> jax.Array:
    cpu = _correlate_taps if _by_library(x) else _correlate_product
    return lax.platform_dependent(x, y, cpu=cpu, default=_correlate_lax)


def _correlate_same(x: jax.Array, y: jax.Array) -> jax.Array:
    return lax.platform_dependent(x, y, cpu=_correlate_same_blocks, default=_correlate_same_lax)
