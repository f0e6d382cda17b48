"""A store's images, and its labels where a task asks for them, to device chunks: k batches for one compiled call.

The order of the images is a function of the key and the step alone: each epoch is a permutation of its own, cut into
whole batches. So a resumed run sees what an undisturbed one would have seen, and a resident store and a streamed one
train on the same batches. Only the part of a permutation that a chunk needs is ever computed.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh

from jvae.config import LoopConfig
from jvae.data.decoded import Decoded
from jvae.data.source import Store
from jvae.errors import InputError
from jvae.runtime.hashing import epoch_words, key_words, shuffle
from jvae.runtime.memory import available_bytes
from jvae.runtime.mesh import along_data, on_accelerator, on_devices, put, replicated
from jvae.runtime.processes import least


class Columns:
    """Some of the attributes of a store, as an array bool [n,a] that is read row by row.

    Args:
      store: any.
      names: of the a attributes, in the order wanted.

    Raises:
      InputError: the store has no such attribute.
    """

    def __init__(self, store: Any, names: Sequence[str]) -> None:
        self._attrs, self._columns = store.attrs, [store.attribute(name) for name in names]
        self.shape, self.ndim, self.dtype = (len(store), len(names)), 2, np.dtype(bool)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Bool [m,a] of rows int [m]."""
        return np.asarray(self._attrs[np.asarray(rows)], bool)[:, self._columns]


class Batch(NamedTuple):
    """What a step learns from, on the device.

    Attributes:
      images: uint8 [b,h,w,3].
      labels: bool [b,a], of the attributes that the task asks for; None where it asks for none.
    """

    images: Any
    labels: Any = None


class Chunk(NamedTuple):
    """k batches for the device.

    Attributes:
      images: resident: every training image, uint8 [n,h,w,3], whole on every device; streamed: uint8 [k,b,h,w,3],
        split on b.
      labels: likewise, bool [n,a] or [k,b,a]; None where the task asks for none.
      order: resident: int32 [k,b], rows of `images`, split on b; streamed: None.
    """

    images: Any
    labels: Any
    order: Any

    @property
    def steps(self) -> int:
        """The number of batches, k."""
        return len(self.images if self.order is None else self.order)


def select(chunk: Chunk, i: jax.Array, mesh: Mesh) -> Batch:
    """Batch i of a chunk, split on b. Every device gathers only its own rows."""

    def pick(array: jax.Array) -> jax.Array:
        if chunk.order is None:
            found = lax.dynamic_index_in_dim(array, i, keepdims=False)
        else:
            found = array[lax.dynamic_index_in_dim(chunk.order, i, keepdims=False)]
        return lax.with_sharding_constraint(found, along_data(mesh))

    return Batch(pick(chunk.images), None if chunk.labels is None else pick(chunk.labels))


@functools.partial(jax.jit, static_argnames=("n", "b", "k"))
def chunk_order(key: jax.Array, step: jax.Array, *, n: int, b: int, k: int) -> jax.Array:
    """Which of n images the k batches from `step` on hold, int32 [k,b].

    Every epoch visits n // b · b images, each once; the few left over differ from epoch to epoch.
    """
    per_epoch = n // b
    steps = step + jnp.arange(k)
    epoch = (steps // per_epoch).astype(jnp.uint32)[:, None]  # [k,1]
    first, second = epoch_words(epoch, key_words(key))
    position = (steps % per_epoch)[:, None] * b + jnp.arange(b)[None]  # [k,b]
    return shuffle(position, n, first, second)


class Feed:
    """Chunks of the rows `indices` of a store's images, on the devices of `mesh`.

    Args:
      images: uint8 [n,h,w,3], usually the store's memory map.
      indices: int64 [n'], the rows to train on.
      labels: bool [n,a], of all rows; None leaves them out.
      batch_size: b, over all devices; must divide over them.
      chunk_steps: k.
      key: of the order.
      mesh: the devices.
      residency: "resident", "streamed", or "auto": resident when the images fit in half of the device's free memory.

    Raises:
      InputError: fewer images than a batch; or "resident" was asked for and does not fit.
    """

    def __init__(
        self,
        images: Any,
        indices: np.ndarray,
        *,
        labels: Columns | None = None,
        batch_size: int,
        chunk_steps: int,
        key: jax.Array,
        mesh: Mesh,
        residency: str = "auto",
    ) -> None:
        check_fills_a_batch(len(indices), batch_size)
        self._images, self._labels, self._indices, self._mesh = images, labels, indices, mesh
        self._key = put(key, replicated(mesh))
        host = jax.device_get(jax.random.key_data(key))
        self._own_key = jax.random.wrap_key_data(host, impl=jax.random.key_impl(key))  # for the thread that reads
        self._order = functools.partial(chunk_order, n=len(indices), b=batch_size, k=chunk_steps)
        fits = 2 * len(indices) * math.prod(images.shape[1:]) <= least(free_bytes(mesh))
        self.resident = residency == "resident" or (residency == "auto" and fits)
        self._on_device: tuple[Any, Any] | None = None
        if self.resident:
            held = None if labels is None else put(labels[indices], replicated(mesh))
            self._on_device = to_devices(images, indices, mesh), held

    @classmethod
    def of_run(
        cls,
        cfg: LoopConfig,
        store: Store,
        indices: np.ndarray,
        *,
        labels: Sequence[str] = (),
        key: jax.Array,
        mesh: Mesh,
    ) -> "Feed":
        """The feed that `cfg` asks for, of the rows `indices` of a store, with the attributes `labels` of each.

        What is decoded on the way is streamed unless it is asked to be resident; with "auto" each image is decoded
        once, and kept, where all of them fit in half of the machine's free memory.
        """
        how: Any = {"batch_size": cfg.batch_size, "chunk_steps": cfg.chunk_steps, "key": key, "mesh": mesh}
        how["labels"] = Columns(store, labels) if labels else None
        if store.streamed and cfg.residency != "resident":
            return DecodedFeed(store.images, indices, keep=cfg.residency == "auto", **how)
        return cls(store.images, indices, residency=cfg.residency, **how)

    @property
    def shapes(self) -> Chunk:
        """A chunk of `jax.ShapeDtypeStruct` instead of arrays, for compiling ahead of the first one."""
        k, b, split = self._order.keywords["k"], self._order.keywords["b"], along_data(self._mesh, 1)
        if self._on_device is None:
            like = functools.partial(jax.ShapeDtypeStruct, sharding=split)
            labels = None if self._labels is None else like((k, b, self._labels.shape[1]), np.bool_)
            return Chunk(like((k, b, *self._images.shape[1:]), np.uint8), labels, None)
        order = jax.ShapeDtypeStruct((k, b), np.int32, sharding=split)
        images, labels = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), self._on_device
        )
        return Chunk(images, labels, order)

    def chunks(self, step: int) -> Iterator[Chunk]:
        """The chunks from `step` on, without end, each k steps after the one before.

        A streamed chunk is read and uploaded by a thread while the one before it trains.
        """
        k = self._order.keywords["k"]
        if self._on_device is not None:
            while True:
                order = self._order(self._key, self._scalar(step))
                yield Chunk(*self._on_device, jax.device_put(order, along_data(self._mesh, 1)))
                step += k
        starts = itertools.count(step, k)
        yield from _ahead(lambda: self._read(next(starts)))

    def _read(self, step: int) -> Chunk:
        rows = self._indices[np.asarray(self._order(self._own_key, np.int32(step)))]  # [k,b]

        def own(index: tuple[slice, ...]) -> np.ndarray:
            return self._images[rows[index[:2]]]  # of its devices alone: [k,b',h,w,3]

        shape = (*rows.shape, *self._images.shape[1:])
        return Chunk(on_devices(shape, along_data(self._mesh, 1), own), self._labels_of(rows), None)

    def _labels_of(self, rows: np.ndarray) -> jax.Array | None:
        """Labels [k,b,a] of rows [k,b], split on b; a process reads those of its own devices alone."""
        if self._labels is None:
            return None
        read = self._labels

        def own(index: tuple[slice, ...]) -> np.ndarray:
            part = rows[index[:2]]
            return read[part.ravel()].reshape(*part.shape, -1)

        return on_devices((*rows.shape, read.shape[1]), along_data(self._mesh, 1), own)

    def _scalar(self, step: int) -> jax.Array:
        return put(np.int32(step), replicated(self._mesh))


class DecodedFeed(Feed):
    """Chunks of the same order, of images that are decoded on the way, ahead of the chunk that needs them.

    Args:
      images: all of the data set's.
      indices: rows of the images to train on, one after another.
      keep: each image is decoded once, and kept, where all of them fit in half of the machine's free memory.
      how: as for `Feed`.
    """

    def __init__(self, images: Decoded, indices: np.ndarray, *, keep: bool = False, **how: Any) -> None:
        super().__init__(images, indices, residency="streamed", **how)
        free = available_bytes() // jax.process_count()  # of this machine, where others may run as well
        self._keep = keep and 2 * len(indices) * math.prod(images.shape[1:]) <= free
        self._decoded, self._first = images, int(indices[0])
        self._words = np.asarray(key_words(self._own_key))

    def chunks(self, step: int) -> Iterator[Chunk]:
        """As of `Feed`. A process decodes what its own devices hold, and nothing else."""
        k, b = self._order.keywords["k"], self._order.keywords["b"]
        shape, split = (k, b, *self._images.shape[1:]), along_data(self._mesh, 1)
        places: Any = split.addressable_devices_indices_map((k, b)).values()
        held = {index[1].indices(b)[:2] for index in places}
        own = np.concatenate([np.arange(*ends) for ends in sorted(held)])  # places of a batch
        steps = self._decoded.batches(step, self._words, self._first, len(self._indices), own, b, keep=self._keep)
        starts = itertools.count(step, k)

        def read() -> Chunk:
            images = np.stack(list(itertools.islice(steps, k)), axis=0)  # [k,b',h,w,3]

            def part(index: tuple[slice, ...]) -> np.ndarray:
                first, last, _ = index[1].indices(b)
                start = int(np.searchsorted(own, first))
                return images[:, start : start + last - first]

            start = next(starts)
            rows = self._indices[np.asarray(self._order(self._own_key, np.int32(start)))] if self._labels else None
            return Chunk(on_devices(shape, split, part), None if rows is None else self._labels_of(rows), None)

        yield from _ahead(read)


def _ahead(read: Callable[[], Chunk]) -> Iterator[Chunk]:
    """What `read` gives, call after call without end; a thread makes the next call while the caller works."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(read)
        while True:
            chunk, coming = coming.result(), reader.submit(read)
            yield chunk


def check_fills_a_batch(count: int, batch_size: int) -> None:
    """Raises `InputError` where `count` training images are fewer than a batch."""
    if count < batch_size:
        raise InputError(
            f"{count} training images do not fill one batch of batch_size={batch_size}: "
            "pack more or choose a smaller batch"
        )


def to_devices(
    images: np.ndarray, indices: np.ndarray, mesh: Mesh, *, instead: str = "--loop.residency streamed"
) -> jax.Array:
    """The rows `indices` of uint8 images [n,h,w,3], whole on every device of `mesh`.

    Raises:
      InputError: they do not fit; it says to use `instead`.
    """
    needed, free = len(indices) * images[0].nbytes, least(free_bytes(mesh))
    if needed > free:
        raise InputError(
            f"residency=resident: {needed / 2**30:.2f} GiB of training images exceed the device's "
            f"{free / 2**30:.2f} GiB of free memory: use {instead}"
        )
    return put(images[indices], replicated(mesh))


def free_bytes(mesh: Mesh) -> int:
    """Free memory of one device of `mesh`, in bytes; a CPU's devices share the machine's."""
    device = mesh.local_devices[0]
    stats = device.memory_stats() or {}
    if on_accelerator(mesh) and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    return available_bytes() // len(mesh.local_devices)
