"""Devices: the only file that names mesh axes and builds shardings.

One axis, `data`: parameters and statistics are whole on every device, batches are split. A sweep has the axis `models`
instead: each device has some of the models whole, and talks to no other.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jvae.errors import InputError

DATA = "data"
MODELS = "models"


def make_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh of `devices` (default: all there are) along the one axis `data`."""
    devices = jax.devices() if devices is None else devices
    return Mesh(np.asarray(devices), (DATA,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def along_data(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Array axis `axis` split over the devices: 0 for a batch [b,…], 1 for a chunk [k,b,…]."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, DATA))


def make_model_mesh(models: int, devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh along the one axis `models`: of `devices` (default: all there are) as many as `models` divides over."""
    devices = jax.devices() if devices is None else devices
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


def check_dtype(dtype: str, mesh: Mesh) -> None:
    """Raises `InputError` where a device of `mesh` cannot compute in `dtype`, found by a small matrix product.

    XLA runs bfloat16 on every CPU: where the CPU has no such instructions, it computes in float32 and rounds, which
    gives the right values and is no faster than float32.
    """
    try:
        jax.block_until_ready(_probe(jax.device_put(np.ones((8, 8), np.float32), mesh.local_devices[0]), dtype))
    except (jax.errors.JaxRuntimeError, NotImplementedError, TypeError) as error:
        kind, said = mesh.local_devices[0].device_kind, str(error).split("\n")[0]
        raise InputError(f"dtype={dtype} does not run on {kind} ({said}): use --dtype float32") from error


@functools.partial(jax.jit, static_argnames="dtype")
def _probe(x: jax.Array, dtype: str) -> jax.Array:
    low = x.astype(dtype)
    return (low @ low).astype(x.dtype)


def on_accelerator(mesh: Mesh) -> bool:
    """Whether the devices of `mesh` are GPUs or TPUs rather than CPU cores."""
    return mesh.devices.flat[0].platform != "cpu"
