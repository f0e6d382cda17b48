"""Devices: the only file that names mesh axes and builds shardings.

One axis, `data`: parameters and statistics are whole on every device, batches are split.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jvae.errors import InputError

DATA = "data"


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


def check_batch_size(batch_size: int, mesh: Mesh) -> None:
    """Raises `InputError` unless `batch_size` divides over the devices of `mesh`."""
    count = mesh.size
    if batch_size % count:
        below = batch_size // count * count
        ways = f"{below} or {below + count}" if below else f"{count}"
        raise InputError(f"batch_size={batch_size} does not divide over {count} devices: use {ways}")


def on_accelerator(mesh: Mesh) -> bool:
    """Whether the devices of `mesh` are GPUs or TPUs rather than CPU cores."""
    return mesh.devices.flat[0].platform != "cpu"
