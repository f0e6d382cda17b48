"""A store's images and labels in; their latents' statistics, in one streaming pass, out."""

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jvae.data.mirror import mirrored
from jvae.errors import InputError
from jvae.io.arrays import row_numbers
from jvae.latent.statistics import Array, Statistics, halved, init_statistics, update
from jvae.runtime import mesh as meshes
from jvae.runtime.hashing import random_key
from jvae.runtime.processes import is_main

Latent = Literal["mean", "sample"]
_NO_ROW = np.iinfo(np.int32).max


class Encodes(Protocol):
    """What is needed of a trained model: see `jvae.trained.TrainedModel`."""

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


class Padded(NamedTuple):
    """A padded batch on the devices. Rows whose `mask` is False are filling and count for nothing."""

    images: Array  # [b,h,w,3] uint8
    attrs: Array  # [b,a] bool
    rows: Array  # [b] int32, indices into the store
    mask: Array  # [b] bool


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
    batch: Padded,
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


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def start(a: int, d: int, mesh: jax.sharding.Mesh) -> tuple[Statistics, jax.Array]:
    """The first two arguments of the first `encode_step`, placed as the later ones are, so that it compiles once."""
    return jax.lax.with_sharding_constraint((init_statistics(a, d), jnp.int32(_NO_ROW)), meshes.replicated(mesh))


def stream(
    images: np.ndarray, attrs: np.ndarray, groups: Iterable[np.ndarray], size: int, mesh: jax.sharding.Mesh
) -> Iterator[Padded]:
    """Device batches of the rows named by each group; the next one is read and uploaded while the caller works.

    A process reads the images of its own devices alone.

    Args:
      images: [n,h,w,3] uint8, as a rule a memory map.
      attrs: [n,a] bool.
      groups: arrays of at most `size` row indices.
      size: rows of a batch, raised to a multiple of the mesh's devices. Shorter groups are filled up with zeros.
      mesh: the devices; a batch is split over their axis.
    """
    size = -(-size // mesh.size) * mesh.size

    def read(rows: np.ndarray) -> Padded:
        put = functools.partial(meshes.put_rows, size=size, mesh=mesh)
        own, all_of = np.asarray(rows, np.int32), np.arange(len(rows))
        return Padded(put(images, rows), put(attrs, rows), put(own, all_of), put(np.ones(len(rows), bool), all_of))

    with ThreadPoolExecutor(1) as reader:
        ahead: Future[Padded] | None = None
        for rows in groups:
            following = reader.submit(read, rows)
            if ahead is not None:
                yield ahead.result()
            ahead = following
        if ahead is not None:
            yield ahead.result()


@functools.partial(jax.jit, static_argnames="mesh")
def _mirror_images(images: jax.Array, *, mesh: jax.sharding.Mesh) -> jax.Array:
    return jax.lax.with_sharding_constraint(mirrored(images), meshes.along_data(mesh))


def check_finite(stats: Statistics, first_bad: jax.Array) -> None:
    """Raises InputError when a latent, or a sum of them, was not a finite number."""
    if (row := int(first_bad)) != _NO_ROW:
        raise InputError(f"the encoder's latents are not finite, first in row {row} of the store: the run is broken")
    if not bool(jnp.isfinite(stats.zz.value).all()):
        raise InputError("the squares of the latents overflow float32: the run is broken")


def attribute_statistics(
    model: Encodes,
    images: np.ndarray,
    attrs: np.ndarray,
    indices: np.ndarray,
    *,
    batch_size: int = 512,
    latent: Latent = "mean",
    mirror: bool = False,
    seed: int = 0,
    mesh: jax.sharding.Mesh | None = None,
    progress: bool = False,
) -> tuple[Statistics, Statistics]:
    """One pass over the rows `indices` of a store: encode, add up, never wait for the device but to bound its queue.

    Batches go to one half and the other in turn: what the halves agree on is no accident of the rows. Their sum does
    not depend on the batch size, the order of the rows or the number of devices beyond rounding (relative 1e-6 or so),
    and a sampled latent depends on `seed` and the row alone.

    Args:
      model: its `encode_fn`, `variables` and `latent_dim` are used.
      images: [n,h,w,3] uint8, as a rule a memory map.
      attrs: [n,a] bool.
      indices: [m] int rows to take, or a mask, in the order of reading (ascending reads fastest). The last batch may
        be short.
      batch_size: rows encoded at a time, over all devices; fewer when both halves would not have any.
      latent: "mean" takes the posterior's mean, "sample" one draw from it.
      mirror: whether every image counts by half as it is and by half mirrored, left for right: the sums are half of
        those over all images and their mirror images, and counts and standard errors those of the images. Both are in
        one half.
      seed: of the draws.
      mesh: the devices; None takes the model's.
      progress: show a bar, where there is a terminal.

    Returns:
      the statistics of each half, for `add_totals` or `AttributeVectors`; of a single row, one has none.

    Raises:
      InputError: there are no rows, a label is missing, `batch_size` is not positive, or a latent is not finite.
    """
    if len(attrs) != len(images):
        raise InputError(f"{len(images):,} images but {len(attrs):,} rows of labels")
    indices = row_numbers(indices, len(images))
    if len(indices) == 0:
        raise InputError("there are no images to take statistics of")
    if batch_size < 1:
        raise InputError(f"batch_size={batch_size} must be at least 1")
    mesh = model.mesh if mesh is None else mesh
    from tqdm import tqdm  # here, so that the steps run where it is not installed

    size = min(batch_size, -(-len(indices) // 2))
    groups = (indices[i : i + size] for i in range(0, len(indices), size))
    key = random_key(seed)
    keys = [key, jax.random.fold_in(key, _NO_ROW)] if mirror else [key]  # of the images, and of their mirror images
    keys = meshes.put(keys, meshes.replicated(mesh))
    half, first_bad = start(attrs.shape[1], model.latent_dim, mesh)
    other, _ = start(attrs.shape[1], model.latent_dim, mesh)
    queue: deque[jax.Array] = deque()
    with tqdm(
        total=len(indices), unit=" images", disable=None if progress and is_main() else True, desc="encode"
    ) as bar:
        for batch in stream(images, attrs, groups, size, mesh):
            turned = [batch._replace(images=_mirror_images(batch.images, mesh=mesh))] if mirror else []
            for own, key in zip((batch, *turned), keys, strict=True):
                half, first_bad = encode_step(
                    half, first_bad, model.variables, own, key, encode_fn=model.encode_fn, latent=latent, mesh=mesh
                )
            half, other = other, half
            queue.append(first_bad)
            if len(queue) > 2:  # else a fast reader would fill the device's memory with batches that wait
                queue.popleft().block_until_ready()
                bar.update(size)
        other.n.block_until_ready()
        bar.update(bar.total - bar.n)
    for stats in (half, other):
        check_finite(stats, first_bad)
    return (halved(half), halved(other)) if mirror else (half, other)
