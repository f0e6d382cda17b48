"""Devices: the only file that names mesh axes and builds shardings.

One axis, `data`: parameters and statistics are whole on every device, batches are split. A sweep has the axis `models`
instead: each device has some of the models whole, and talks to no other.
"""

import functools
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jvae.errors import InputError

DATA = "data"
MODELS = "models"


def make_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh of `devices` (default: all there are) along the one axis `data`.

    Raises:
      InputError: JAX finds no device, or counts in 64 bits.
    """
    devices = all_devices() if devices is None else devices
    return Mesh(np.asarray(devices), (DATA,), axis_types=(AxisType.Auto,))


def all_devices() -> Sequence[Any]:
    """All devices there are.

    Raises:
      InputError: JAX finds none of the platforms that JAX_PLATFORMS names, or counts in 64 bits, in which neither the
        programs nor the checkpoints are written.
    """
    if jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        raise InputError("JAX_ENABLE_X64 is on, and jvae's programs and checkpoints are of 32 bits: unset it")
    try:
        return jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter without a word, for cuda without its plugin
        asked = jax.config.jax_platforms  # pyright: ignore[reportAttributeAccessIssue]
        said = str(error).split("\n")[0] or "none of that kind is installed"
        raise InputError(f"JAX_PLATFORMS={asked} finds no device ({said}): unset it, or give cpu") from error


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def along_data(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Array axis `axis` split over the devices: 0 for a batch [b,…], 1 for a chunk [k,b,…]."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, DATA))


def make_model_mesh(models: int, devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh along the one axis `models`: of `devices` (default: all there are) as many as `models` divides over."""
    devices = all_devices() if devices is None else devices
    count = max(n for n in range(1, len(devices) + 1) if models % n == 0)
    return Mesh(np.asarray(devices[:count]), (MODELS,), axis_types=(AxisType.Auto,))


def first_device(mesh: Mesh) -> Mesh:
    """A mesh of the first device of `mesh` alone, along `data`."""
    return make_mesh(list(mesh.devices.flat)[:1])


def along_models(mesh: Mesh) -> NamedSharding:
    """Arrays [m,…] of m models split over the devices."""
    return NamedSharding(mesh, PartitionSpec(MODELS))


def over_models(function: Callable[..., Any], mesh: Mesh, split: Sequence[bool]) -> Callable[..., Any]:
    """`function`, run by each device on its own share of the models, without a word between them.

    Args:
      function: of positional arguments; its results are arrays [m',…], m' models a device.
      mesh: made by `make_model_mesh`.
      split: of each argument, whether its arrays are [m,…], or one and the same for all models.
    """
    specs = tuple(PartitionSpec(MODELS) if each else PartitionSpec() for each in split)
    return jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(MODELS), check_vma=False)


def check_batch_size(batch_size: int, mesh: Mesh) -> None:
    """Raises `InputError` unless `batch_size` divides over the devices of `mesh`."""
    count = mesh.size
    if batch_size % count:
        below = batch_size // count * count
        ways = f"{below} or {below + count}" if below else f"{count}"
        raise InputError(f"batch_size={batch_size} does not divide over {count} devices: use {ways}")


def compute_dtype(name: str, mesh: Mesh) -> Any:
    """The dtype of matrix work called `name`; "auto" is bfloat16 on accelerators and float32 on a CPU."""
    return jnp.dtype(name if name != "auto" else "bfloat16" if on_accelerator(mesh) else "float32")


def check_dtype(dtype: str, mesh: Mesh) -> None:
    """Raises `InputError` where a device of `mesh` cannot compute in `dtype`, found by a small matrix product.

    XLA runs bfloat16 on every CPU: where the CPU has no such instructions, it computes in float32 and rounds, which
    gives the right values and is no faster than float32.
    """
    try:
        jax.block_until_ready(_probe(jax.device_put(np.ones((8, 8), np.float32), mesh.local_devices[0]), dtype))
    except (jax.errors.JaxRuntimeError, NotImplementedError, TypeError) as error:
        kind, said = mesh.local_devices[0].device_kind, str(error).split("\n")[0]
        raise InputError(f"dtype={dtype} does not run on {kind} ({said}): use --loop.dtype float32") from error


@functools.partial(jax.jit, static_argnames="dtype")
def _probe(x: jax.Array, dtype: str) -> jax.Array:
    low = x.astype(dtype)
    return (low @ low).astype(x.dtype)


def put(tree: Any, sharding: NamedSharding) -> Any:
    """Arrays of the host, the same in every process, on the devices; each process takes what its own devices hold.

    Across processes `jax.device_put` would first send every byte to process 0, to compare.
    """
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)
    return jax.tree.map(functools.partial(_put_own, sharding=sharding), tree)


def _put_own(x: Any, sharding: NamedSharding) -> jax.Array:
    if isinstance(x, jax.Array) and not x.is_fully_addressable:
        return jax.device_put(x, sharding)
    if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        data = _put_own(jax.random.key_data(x), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))
    host = np.asarray(x)
    return on_devices(host.shape, sharding, lambda index: host[index])


def on_devices(
    shape: tuple[int, ...], sharding: NamedSharding, own: Callable[[tuple[slice, ...]], np.ndarray]
) -> jax.Array:
    """An array of `shape` on the devices; `own` gives what each of this process's devices holds.

    `jax.make_array_from_callback`, but as a transfer asked for by name, which a guard lets pass.
    """
    indices: Any = sharding.addressable_devices_indices_map(shape)
    parts = [jax.device_put(own(index), device) for device, index in indices.items()]
    return jax.make_array_from_single_device_arrays(shape, sharding, parts)


def put_rows(array: np.ndarray, rows: np.ndarray, size: int, mesh: Mesh) -> jax.Array:
    """The rows of array [n,…], filled up with zeros to `size`, split over the devices: [size,…].

    Of a memory map a process reads the rows of its own devices alone.
    """

    def own(index: tuple[slice, ...]) -> np.ndarray:
        first, last, _ = index[0].indices(size)
        found = array[rows[first:last]]
        missing = last - first - len(found)
        return np.pad(found, [(0, missing)] + [(0, 0)] * (array.ndim - 1)) if missing else found

    return on_devices((size, *array.shape[1:]), along_data(mesh), own)


def to_host(tree: Any) -> Any:
    """Arrays on the devices as NumPy's, whole in every process, all of which must ask."""

    def whole(x: jax.Array) -> jax.Array:
        if x.is_fully_addressable or x.is_fully_replicated:
            return x
        assert isinstance(x.sharding, NamedSharding)
        return _replicate(x, mesh=x.sharding.mesh)

    return jax.device_get(jax.tree.map(whole, tree))


@functools.partial(jax.jit, static_argnames="mesh")
def _replicate(x: Any, *, mesh: Mesh) -> Any:
    return jax.lax.with_sharding_constraint(x, replicated(mesh))


def map_rows(function: Callable[..., Any], *arrays: tuple[np.ndarray, np.ndarray], mesh: Mesh, size: int = 128) -> Any:
    """What `function` gives for m rows of arrays, in batches of one size, split over the devices.

    Args:
      function: arrays [b,…] → array or tree of arrays [b,…], each row by itself.
      arrays: each an array [n,…] and which rows of it, int [m], any m; see `put_rows`.
      mesh: the devices.
      size: of a batch, raised to a multiple of the devices.

    Returns:
      NumPy arrays [m,…].
    """
    size = -(-size // mesh.size) * mesh.size
    count = len(arrays[0][1])
    found: list[Any] = []
    waiting: deque[Any] = deque()
    for start in range(0, max(1, count), size):
        waiting.append(function(*(put_rows(array, rows[start : start + size], size, mesh) for array, rows in arrays)))
        if len(waiting) > 2:  # the devices work meanwhile, and their memory does not fill with batches that wait
            found.append(to_host(waiting.popleft()))
    found += map(to_host, waiting)
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *found)


def largest(value: int, mesh: Mesh) -> jax.Array:
    """The largest of what the processes say, int32 [], without waiting for it."""
    said = np.array([value], np.int32)
    return _largest(on_devices((mesh.size,), along_data(mesh), lambda _: said), mesh=mesh)


@functools.partial(jax.jit, static_argnames="mesh")
def _largest(said: jax.Array, *, mesh: Mesh) -> jax.Array:
    return jax.lax.with_sharding_constraint(said.max(), replicated(mesh))


def on_accelerator(mesh: Mesh) -> bool:
    """Whether the devices of `mesh` are GPUs or TPUs rather than CPU cores."""
    return mesh.devices.flat[0].platform != "cpu"
