"""A task, variables and images in; its scores, means over the images, out."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jvae.data.feed import Batch, Columns
from jvae.data.source import Store
from jvae.io.arrays import row_numbers
from jvae.latent.encoding import stream
from jvae.models.model import Variables
from jvae.runtime.hashing import random_key
from jvae.runtime.mesh import put, replicated
from jvae.training.task import Task

Scores = dict[str, float]
"""Means over the images by name, and "n", how many there were."""


@functools.partial(jax.jit, static_argnames="mesh")
def _score(
    task: Task, variables: Variables, batch: Batch, rows: jax.Array, mask: jax.Array, key: jax.Array, *, mesh: Mesh
) -> dict[str, jax.Array]:
    """Sums [] of the scores over the rows of a batch that `mask` counts."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, rows)
    found = task.score(variables, batch, keys)
    sums = {name: jnp.sum(values, where=mask) for name, values in found.items()}
    return jax.lax.with_sharding_constraint(sums, replicated(mesh))


def score(
    task: Task,
    variables: Variables,
    store: Store,
    indices: np.ndarray,
    *,
    mesh: Mesh,
    batch_size: int = 256,
    seed: int = 0,
) -> Scores:
    """Scores the rows `indices` of a store in one pass.

    Args:
      task: prepared; its `score` and `summary` are used. Tasks that differ in numbers alone share one program.
      variables: on the devices.
      store: images, and labels where the task asks for them.
      indices: int [m], or a mask, of its rows.
      mesh: the devices.
      batch_size: images at a time.
      seed: of sampled latents, which depend on it and the row alone.
    """
    indices = row_numbers(indices, len(store))
    size = min(batch_size, len(indices))
    labels: Any = Columns(store, task.labels) if task.labels else np.zeros((len(store), 0), bool)
    groups = (indices[i : i + size] for i in range(0, len(indices), size))
    key = put(random_key(seed), replicated(mesh))
    task = put(task, replicated(mesh))
    found: list[dict[str, jax.Array]] = []
    for images, attrs, rows, mask in stream(store.images, labels, groups, size, mesh):
        found.append(_score(task, variables, Batch(images, attrs), rows, mask, key, mesh=mesh))
        if len(found) > 2:  # else a fast reader would fill the device's memory with batches that wait
            jax.block_until_ready(found[-3])
    sums: Any = jax.tree.map(lambda *each: float(np.sum(each, dtype=np.float64)), *jax.device_get(found))
    n = len(indices)
    return {"n": n, **task.summary({name: total / n for name, total in sums.items()})}
