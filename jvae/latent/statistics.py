"""Latents and labels in; the sums from which every attribute vector follows out. Sums add."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array | np.ndarray

# Rows summed by one float32 matmul. Beyond it the sum within a batch would lose what the compensation across batches
# keeps: over 200,000 rows the error of a vector is 5e-5 in one block, and 1e-6 in blocks of 512.
BLOCK = 512


class Sum(NamedTuple):
    """A running sum in two floats: `value + lost`, where `lost` is what rounding took from `value`."""

    value: jax.Array
    lost: jax.Array


class Statistics(NamedTuple):
    """Sufficient statistics of n latents [d] with a labels each. They add: see `totals` and `add_totals`.

    Latents are taken from `origin`, the mean of the first of them. Where they vary little around a mean far from zero,
    as those of a nearly collapsed model do, sums of the latents themselves would round away what they differ in.
    """

    n: jax.Array  # [] int32
    origin: jax.Array  # [d] float32
    counts: jax.Array  # [a] int32, rows that have the attribute
    pairs: jax.Array  # [a,a] int32, rows that have both
    z: Sum  # [d]
    zz: Sum  # [d,d]
    attr_z: Sum  # [a,d], over the rows that have the attribute
    attr_zz: Sum  # [a,d], of squares, likewise
    pair_z: Sum  # [a(a-1)/2,d], over the rows that have both, of the pairs of `pair_columns`


class Totals(NamedTuple):
    """`Statistics` on the host: counts in int64, sums in float64."""

    n: int
    counts: np.ndarray  # [a]
    pairs: np.ndarray  # [a,a]
    z: np.ndarray  # [d]
    zz: np.ndarray  # [d,d]
    attr_z: np.ndarray  # [a,d]
    attr_zz: np.ndarray  # [a,d]
    pair_z: np.ndarray  # [a,a,d], of all pairs, the diagonal is attr_z


def pair_columns(a: int) -> tuple[np.ndarray, np.ndarray]:
    """The first and the second attribute of every pair of two of `a` attributes, [a(a-1)/2] each."""
    return np.triu_indices(a, 1)


def init_statistics(a: int, d: int) -> Statistics:
    """The statistics of no rows, for `a` attributes and latents of `d` dimensions."""

    def empty(*shape: int) -> Sum:
        return Sum(jnp.zeros(shape), jnp.zeros(shape))

    counts, pairs = jnp.zeros(a, jnp.int32), jnp.zeros((a, a), jnp.int32)
    n, p = jnp.int32(0), a * (a - 1) // 2
    return Statistics(n, jnp.zeros(d), counts, pairs, empty(d), empty(d, d), empty(a, d), empty(a, d), empty(p, d))


def add(total: Sum, value: jax.Array) -> Sum:
    """`total + value`, with the rounding error of the addition kept (Knuth, TAOCP vol. 2, 4.2.2, theorem B)."""
    new = total.value + value
    from_value = new - total.value
    error = (total.value - (new - from_value)) + (value - from_value)
    return Sum(new, total.lost + error)


def update(stats: Statistics, z: Array, attrs: Array, mask: Array | None = None) -> Statistics:
    """Adds a batch of rows. Pure and jittable.

    Args:
      stats: so far.
      z: [b,d] float32 latents.
      attrs: [b,a] bool labels.
      mask: [b] bool; rows where it is False add nothing, whatever their latents (NaN included). None is all True.
    """
    b = z.shape[0]
    mask = jnp.ones(b, bool) if mask is None else jnp.asarray(mask)
    z = jnp.where(mask[:, None], z, 0).astype(jnp.float32)
    origin = jnp.where(stats.n == 0, z.sum(0) / jnp.maximum(mask.sum(), 1).astype(z.dtype), stats.origin)
    stats = stats._replace(origin=origin)
    z = jnp.where(mask[:, None], z - origin[None], 0)
    attrs = jnp.asarray(attrs) & mask[:, None]
    if b <= BLOCK:
        return _update_block(stats, z, attrs, mask)
    blocks = -(-b // BLOCK)

    def split(x: jax.Array) -> jax.Array:
        # A block takes every blocks-th row, so that each device of a batch split over the mesh has its share of each.
        x = jnp.pad(x, [(0, blocks * BLOCK - b)] + [(0, 0)] * (x.ndim - 1))
        return x.reshape(BLOCK, blocks, *x.shape[1:]).swapaxes(0, 1)

    rows = (split(z), split(attrs), split(mask))
    return jax.lax.scan(lambda s, block: (_update_block(s, *block), None), stats, rows)[0]


def _update_block(stats: Statistics, z: jax.Array, attrs: jax.Array, mask: jax.Array) -> Statistics:
    """Adds at most `BLOCK` rows, those outside of `mask` already zero."""
    matmul = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)  # no tf32, no bfloat16
    labels = attrs.astype(jnp.float32)
    first, second = pair_columns(attrs.shape[1])
    both = labels[:, first] * labels[:, second]
    sums = (
        z.sum(0),
        matmul("bd,be->de", z, z),
        matmul("ba,bd->ad", labels, z),
        matmul("ba,bd->ad", labels, z * z),
        matmul("bp,bd->pd", both, z),
    )
    # The barrier keeps the compiler from computing these sums anew, differently fused, at each use inside `add`.
    z_sum, zz, attr_z, attr_zz, pair_z = jax.lax.optimization_barrier(sums)
    pairs = matmul("ba,bc->ac", labels, labels).astype(jnp.int32)  # whole numbers far below 2**24: exact
    return Statistics(
        origin=stats.origin,
        n=stats.n + mask.sum(dtype=jnp.int32),
        counts=stats.counts + attrs.sum(0, dtype=jnp.int32),
        pairs=stats.pairs + pairs,
        z=add(stats.z, z_sum),
        zz=add(stats.zz, zz),
        attr_z=add(stats.attr_z, attr_z),
        attr_zz=add(stats.attr_zz, attr_zz),
        pair_z=add(stats.pair_z, pair_z),
    )


@jax.jit
def halved(stats: Statistics) -> Statistics:
    """The statistics of rows that weigh a half each; exact where every count is even."""

    def half(x: jax.Array) -> jax.Array:
        return x // 2 if x.dtype == jnp.int32 else x / 2

    return jax.tree.map(half, stats)._replace(origin=stats.origin)


def totals(stats: Statistics) -> Totals:
    """Brings `stats` to the host, each two-float sum as one float64, and to latents taken from zero."""

    def whole(x: Any) -> np.ndarray:
        if isinstance(x, Sum):
            return np.asarray(x.value, np.float64) + np.asarray(x.lost, np.float64)
        return np.asarray(x, np.float64 if x.dtype == np.float32 else np.int64)

    n, origin, counts, pairs, z, zz, attr_z, attr_zz, pair_z = map(whole, jax.device_get(stats))
    a, d = attr_z.shape
    every, (first, second) = np.zeros((a, a, d)), pair_columns(a)
    every[first, second] = every[second, first] = pair_z
    every[np.arange(a), np.arange(a)] = attr_z
    return Totals(
        int(n),
        counts,
        pairs,
        z + n * origin,
        zz + np.outer(z, origin) + np.outer(origin, z) + n * np.outer(origin, origin),
        attr_z + counts[:, None] * origin,
        attr_zz + 2 * attr_z * origin + counts[:, None] * origin**2,
        every + pairs[..., None] * origin,
    )


def add_totals(parts: Sequence[Totals]) -> Totals:
    """The totals of the rows of all the parts."""
    sums = (np.sum([getattr(part, field) for part in parts], axis=0) for field in Totals._fields[1:])
    return Totals(sum(part.n for part in parts), *sums)  # pyright: ignore[reportCallIssue]
