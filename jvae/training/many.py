"""A chunk of steps of many runs of one task in one compiled call: `vmap` over the steps, the runs split over devices.

On a CPU the runs of a device go one after another, still in one call.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jvae.data.feed import Batch, chunk_order
from jvae.runtime.hashing import HASH
from jvae.runtime.mesh import on_accelerator, over_models
from jvae.training.state import State
from jvae.training.step import Metrics, train_steps
from jvae.training.task import Hyper, Task

Numbers = list[Any]
"""The scalars of a task and its hyperparameters: what runs of one sweep may differ in, [m] each of m runs."""


def divided(tasks: Sequence[Task], hypers: Sequence[Hyper]) -> tuple[Numbers, list[Any], Any]:
    """What the tasks of m runs have each for itself, and what they share.

    Returns:
      numbers: scalars, stacked to [m].
      arrays: those of the first; frozen networks and the like are the same in all.
      structure: by which `assembled` puts a task and its hyperparameters together again.
    """
    leaves = [jax.tree.leaves(pair) for pair in zip(tasks, hypers, strict=True)]
    numbers = [np.stack(each) for each in zip(*leaves, strict=True) if np.ndim(each[0]) == 0]
    return numbers, [leaf for leaf in leaves[0] if np.ndim(leaf)], _structure((tasks[0], hypers[0]))


def unlike(one: Task, other: Task) -> str | None:
    """The first of two tasks' arrays that differ and that `divided` would take of one alone, by its path; or None."""
    for (path, a), b in zip(jax.tree.leaves_with_path(one), jax.tree.leaves(other), strict=True):
        if a is not b and (np.ndim(a) or np.ndim(b)) and not np.array_equal(a, b):
            return jax.tree_util.keystr(path, simple=True, separator=".")
    return None


def _structure(pair: Any) -> Any:
    leaves, tree = jax.tree.flatten(pair)
    return tree, tuple(np.ndim(leaf) == 0 for leaf in leaves)


def assembled(structure: Any, numbers: Numbers, arrays: list[Any]) -> tuple[Task, Hyper]:
    """A task and its hyperparameters, of one run's numbers and what all share; see `divided`."""
    tree, scalar = structure
    own, shared = iter(numbers), iter(arrays)
    return jax.tree.unflatten(tree, [next(own) if each else next(shared) for each in scalar])


@partial(jax.jit, static_argnames=("structure", "b", "k", "mesh"), donate_argnames="state")
def sweep_chunk(
    state: State,
    step_keys: jax.Array,
    order_keys: jax.Array,
    numbers: Numbers,
    data: Batch,
    arrays: list[Any],
    step: jax.Array,
    count: jax.Array,
    *,
    structure: Any,
    b: int,
    k: int,
    mesh: Mesh,
) -> tuple[State, Metrics]:
    """The first `count` of k steps of m runs, in one call.

    Args:
      state: of the runs, every leaf [m,…], split over the devices; donated.
      step_keys: uint32 [m,2], the data of each run's key.
      order_keys: uint32 [m,2], likewise of the order of the images; or [2], and all runs see the same batches.
      numbers: see `divided`, every one [m].
      data: every training image and its labels, [n,…], whole on every device, as is what follows.
      arrays: see `divided`.
      step: int32 scalar, of the state.
      count: int32 scalar.
      structure: see `divided`.
      b: images a step, of each run.
      k: steps.
      mesh: of the runs.

    Returns:
      The state after the steps, and metrics [m,k], 0 past `count`.
    """
    own_order = order_keys.ndim == 2

    def one(state, step_key, order_key, numbers, data, arrays, step, count):
        wrap = partial(jax.random.wrap_key_data, impl=HASH)
        order = chunk_order(wrap(order_key), step, n=len(data.images), b=b, k=k)  # [k,b]
        task, hyper = assembled(structure, numbers, arrays)

        def batch(i: jax.Array) -> Batch:
            return jax.tree.map(lambda array: array[order[i]], data)

        return train_steps(task, batch, state, count, wrap(step_key), hyper, length=k)

    split = (True, True, own_order, True, False, False, False, False)

    def in_turn(*args):
        own = tuple(x for x, each in zip(args, split, strict=True) if each)

        def model(own):
            mine = iter(own)
            return one(*(next(mine) if each else x for x, each in zip(args, split, strict=True)))

        return jax.lax.map(model, own)

    # A model fills a CPU by itself, and several at once leave its caches: four were half as fast, each, as one by one.
    at_once = jax.vmap(one, in_axes=tuple(0 if each else None for each in split))
    run: Callable = over_models(at_once if on_accelerator(mesh) else in_turn, mesh, split)
    return run(state, step_keys, order_keys, numbers, data, arrays, step, count)
