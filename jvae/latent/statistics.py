"""Latents and labels in; the sums from which every attribute vector follows, in one pass, out."""

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from jvae import mesh as meshes
from jvae.errors import InputError

Latent = Literal["mean", "sample"]
Array = jax.Array | np.ndarray

# Rows summed by one float32 matmul. Beyond it the sum within a batch would lose what the compensation across batches
# keeps: over 200,000 rows the error of a vector is 5e-5 in one block, and 1e-6 in blocks of 512.
BLOCK = 512
_NO_ROW = np.iinfo(np.int32).max


class Encoder(Protocol):
    """What is needed of a trained model: see `jvae.frozen.Model`."""

    @property
    def variables(self) -> Any:
        """What `encode_fn` takes first."""
        ...

    @property
    def mesh(self) -> jax.sharding.Mesh:
        """The devices over which a batch is split."""
        ...

    @property
    def latent_dim(self) -> int:
        """The d of the latents."""
        ...

    @property
    def encode_fn(self) -> Callable[[Any, Any], tuple[jax.Array, jax.Array]]:
        """Pure: variables, uint8 [b,h,w,3] -> mean, logvar [b,d] float32."""
        ...


class Sum(NamedTuple):
    """A running sum in two floats: `value + lost`, where `lost` is what rounding took from `value`."""

    value: jax.Array
    lost: jax.Array


class Statistics(NamedTuple):
    """Sufficient statistics of n latents [d] with a labels each. They add: see `merge`."""

    n: jax.Array  # [] int32
    counts: jax.Array  # [a] int32, rows that have the attribute
    pairs: jax.Array  # [a,a] int32, rows that have both
    z: Sum  # [d]
    zz: Sum  # [d,d]
    attr_z: Sum  # [a,d], over the rows that have the attribute
    attr_zz: Sum  # [a,d], of squares, likewise


class Totals(NamedTuple):
    """`Statistics` on the host: counts in int64, sums in float64."""

    n: int
    counts: np.ndarray  # [a]
    pairs: np.ndarray  # [a,a]
    z: np.ndarray  # [d]
    zz: np.ndarray  # [d,d]
    attr_z: np.ndarray  # [a,d]
    attr_zz: np.ndarray  # [a,d]


class Batch(NamedTuple):
    """A padded batch on the devices. Rows whose `mask` is False are filling and count for nothing."""

    images: Array  # [b,h,w,3] uint8
    attrs: Array  # [b,a] bool
    rows: Array  # [b] int32, indices into the store
    mask: Array  # [b] bool


def init_statistics(a: int, d: int) -> Statistics:
    """The statistics of no rows, for `a` attributes and latents of `d` dimensions."""

    def empty(*shape: int) -> Sum:
        return Sum(jnp.zeros(shape), jnp.zeros(shape))

    counts, pairs = jnp.zeros(a, jnp.int32), jnp.zeros((a, a), jnp.int32)
    return Statistics(jnp.int32(0), counts, pairs, empty(d), empty(d, d), empty(a, d), empty(a, d))


def add(total: Sum, value: jax.Array, lost: jax.Array | float = 0.0) -> Sum:
    """`total + value + lost`, with the rounding error of the addition kept (Knuth, TAOCP vol. 2, 4.2.2, theorem B)."""
    new = total.value + value
    from_value = new - total.value
    error = (total.value - (new - from_value)) + (value - from_value)
    return Sum(new, total.lost + lost + error)


def merge(first: Statistics, second: Statistics) -> Statistics:
    """The statistics of the rows of both."""

    def plus(x: Any, y: Any) -> Any:
        return add(x, y.value, y.lost) if isinstance(x, Sum) else x + y

    return Statistics(*map(plus, first, second))


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
    sums = (z.sum(0), matmul("bd,be->de", z, z), matmul("ba,bd->ad", labels, z), matmul("ba,bd->ad", labels, z * z))
    # The barrier keeps the compiler from computing these sums anew, differently fused, at each use inside `add`.
    z_sum, zz, attr_z, attr_zz = jax.lax.optimization_barrier(sums)
    pairs = matmul("ba,bc->ac", labels, labels).astype(jnp.int32)  # whole numbers far below 2**24: exact
    return Statistics(
        n=stats.n + mask.sum(dtype=jnp.int32),
        counts=stats.counts + attrs.sum(0, dtype=jnp.int32),
        pairs=stats.pairs + pairs,
        z=add(stats.z, z_sum),
        zz=add(stats.zz, zz),
        attr_z=add(stats.attr_z, attr_z),
        attr_zz=add(stats.attr_zz, attr_zz),
    )


def totals(stats: Statistics) -> Totals:
    """Brings `stats` to the host, each two-float sum as one float64."""
    host = jax.device_get(stats)

    def whole(x: Any) -> np.ndarray:
        if isinstance(x, Sum):
            return np.asarray(x.value, np.float64) + np.asarray(x.lost, np.float64)
        return np.asarray(x, np.int64)

    n, *rest = map(whole, host)
    return Totals(int(n), *rest)


def sample_rows(key: jax.Array, rows: Array, mean: jax.Array, logvar: jax.Array) -> jax.Array:
    """Latents [b,d] sampled from the posteriors. Row i's depends on `key` and `rows[i]`, not on its batch."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, rows)
    noise = jax.vmap(lambda k: jax.random.normal(k, mean.shape[1:]))(keys)
    return mean + jnp.exp(logvar / 2) * noise


@functools.partial(jax.jit, static_argnames=("encode_fn", "latent", "mesh"), donate_argnames=("stats",))
def encode_step(
    stats: Statistics,
    first_bad: jax.Array,
    variables: Any,
    batch: Batch,
    key: jax.Array,
    *,
    encode_fn: Callable[[Any, Any], tuple[jax.Array, jax.Array]],
    latent: Latent,
    mesh: jax.sharding.Mesh,
) -> tuple[Statistics, jax.Array]:
    """Encodes a batch and adds it to `stats` (donated); `first_bad` is the first row met that was not finite."""
    mean, logvar = encode_fn(variables, batch.images)  # [b,d]
    z = mean if latent == "mean" else sample_rows(key, batch.rows, mean, logvar)
    bad = batch.mask & ~jnp.isfinite(z).all(1)
    first_bad = jnp.minimum(first_bad, jnp.where(bad, batch.rows, _NO_ROW).min())
    out = update(stats, z, batch.attrs, batch.mask), first_bad
    return jax.lax.with_sharding_constraint(out, meshes.replicated(mesh))


def start(a: int, d: int, mesh: jax.sharding.Mesh) -> tuple[Statistics, jax.Array]:
    """The first two arguments of the first `encode_step`, placed as the later ones are, so that it compiles once."""
    return jax.device_put((init_statistics(a, d), jnp.int32(_NO_ROW)), meshes.replicated(mesh))


def stream(
    images: np.ndarray, attrs: np.ndarray, groups: Iterable[np.ndarray], size: int, mesh: jax.sharding.Mesh
) -> Iterator[Batch]:
    """Device batches of the rows named by each group; the next one is read and uploaded while the caller works.

    Args:
      images: [n,h,w,3] uint8, as a rule a memory map.
      attrs: [n,a] bool.
      groups: arrays of at most `size` row indices.
      size: rows of a batch, raised to a multiple of the mesh's devices. Shorter groups are filled up with zeros.
      mesh: the devices; a batch is split over their axis.
    """
    size = -(-size // mesh.size) * mesh.size

    def read(rows: np.ndarray) -> Batch:
        block = np.zeros((size, *images.shape[1:]), np.uint8)
        labels, index, mask = np.zeros((size, attrs.shape[1]), bool), np.zeros(size, np.int32), np.zeros(size, bool)
        k = len(rows)
        block[:k], labels[:k], index[:k], mask[:k] = images[rows], attrs[rows], rows, True
        return jax.device_put(Batch(block, labels, index, mask), meshes.along_data(mesh))

    with ThreadPoolExecutor(1) as reader:
        ahead: Future[Batch] | None = None
        for rows in groups:
            following = reader.submit(read, rows)
            if ahead is not None:
                yield ahead.result()
            ahead = following
        if ahead is not None:
            yield ahead.result()


def check_finite(stats: Statistics, first_bad: jax.Array) -> None:
    """Raises InputError when a latent, or a sum of them, was not a finite number."""
    if (row := int(first_bad)) != _NO_ROW:
        raise InputError(f"the encoder's latents are not finite, first in row {row} of the store: the run is broken")
    if not bool(jnp.isfinite(stats.zz.value).all()):
        raise InputError("the squares of the latents overflow float32: the run is broken")


def attribute_statistics(
    model: Encoder,
    images: np.ndarray,
    attrs: np.ndarray,
    indices: np.ndarray,
    *,
    batch_size: int = 512,
    latent: Latent = "mean",
    seed: int = 0,
    mesh: jax.sharding.Mesh | None = None,
    progress: bool = False,
) -> Statistics:
    """One pass over the rows `indices` of a store: encode, add up, never wait for the device but to bound its queue.

    The result does not depend on the batch size, the order of the rows or the number of devices beyond rounding
    (relative 1e-6 or so), and a sampled latent depends on `seed` and the row alone.

    Args:
      model: its `encode_fn`, `variables` and `latent_dim` are used.
      images: [n,h,w,3] uint8, as a rule a memory map.
      attrs: [n,a] bool.
      indices: [m] int rows to take, in the order of reading (ascending reads fastest). The last batch may be short.
      batch_size: rows encoded at a time, over all devices.
      latent: "mean" takes the posterior's mean, "sample" one draw from it.
      seed: of the draws.
      mesh: the devices; None takes the model's.
      progress: show a bar, where there is a terminal.

    Raises:
      InputError: there are no rows, a label is missing, `batch_size` is not positive, or a latent is not finite.
    """
    if len(indices) == 0:
        raise InputError("there are no images to take statistics of")
    if len(attrs) != len(images):
        raise InputError(f"{len(images):,} images but {len(attrs):,} rows of labels")
    if batch_size < 1:
        raise InputError(f"batch_size={batch_size} must be at least 1")
    mesh = model.mesh if mesh is None else mesh
    size = min(batch_size, len(indices))
    groups = (indices[i : i + size] for i in range(0, len(indices), size))
    key = jax.random.key(seed)
    stats, first_bad = start(attrs.shape[1], model.latent_dim, mesh)
    queue: deque[jax.Array] = deque()
    with tqdm(total=len(indices), unit=" images", disable=None if progress else True, desc="encode") as bar:
        for batch in stream(images, attrs, groups, size, mesh):
            stats, first_bad = encode_step(
                stats, first_bad, model.variables, batch, key, encode_fn=model.encode_fn, latent=latent, mesh=mesh
            )
            queue.append(first_bad)
            if len(queue) > 2:  # else a fast reader would fill the device's memory with batches that wait
                queue.popleft().block_until_ready()
                bar.update(size)
        stats.n.block_until_ready()
        bar.update(bar.total - bar.n)
    check_finite(stats, first_bad)
    return stats
