"""A chunk of steps of many runs of one task in one compiled call: `vmap` over the steps, the runs split over devices.

On a CPU the runs of a device go one after another, still in one call.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.extend.random
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap
from jax.sharding import Mesh

from jvae.data.feed import Batch, chunk_order
from jvae.runtime.mesh import on_accelerator, over_models
from jvae.training.state import State
from jvae.training.step import Metrics, train_steps
from jvae.training.task import Hyper, Task


def _rbg(data: jax.Array) -> jax.Array:
    return jax.random.wrap_key_data(data, impl="rbg")


def _random_bits(data: jax.Array, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
    @custom_vmap
    def draw(data: jax.Array) -> jax.Array:
        return jax.random.bits(_rbg(data), shape, jnp.dtype(f"uint{bit_width}"))

    @draw.def_vmap
    def _(size: int, batched: Any, datas: jax.Array) -> tuple[jax.Array, bool]:
        return jnp.stack([draw(datas[i]) for i in range(size)]), True

    return draw(data)


# The keys of "rbg", drawn from one by one: under vmap "rbg" itself draws every lane from the first key, and a model
# would not be the one that is trained alone.
ONE_BY_ONE = jax.extend.random.define_prng_impl(
    key_shape=(4,),
    seed=lambda seed: jax.random.key_data(jax.random.key(seed, impl="rbg")),
    split=lambda data, shape: jax.random.key_data(jax.random.split(_rbg(data), shape)),
    random_bits=_random_bits,
    fold_in=lambda data, number: jax.random.key_data(jax.random.fold_in(_rbg(data), number)),
    name="rbg_one_by_one",
    tag="rbg1",
)


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
      step_keys: uint32 [m,4], the data of each run's key.
      order_keys: uint32 [m,4], likewise of the order of the images; or [4], and all runs see the same batches.
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
        wrap = partial(jax.random.wrap_key_data, impl=ONE_BY_ONE)
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
