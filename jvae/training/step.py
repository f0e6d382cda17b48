"""One optimiser step of any task, and k of them compiled into one call."""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.sharding import Mesh

from jvae.data.feed import Batch, Chunk, select
from jvae.runtime.hashing import random_key
from jvae.runtime.mesh import replicated
from jvae.training.state import State, averaged
from jvae.training.task import Hyper, Task

AUGMENTED = 2**31 - 1  # what is folded into a step's key for `Task.augmented`: no loss splits its key so often
Metrics = dict[str, jax.Array]
"""Batch means of one step (or [k] of them) by name, float32: "loss", the task's parts, and "grad_norm"."""


def train_step(task: Task, state: State, batch: Batch, key: jax.Array, hyper: Hyper) -> tuple[State, Metrics]:
    """One step of gradient descent on the mean loss of a batch.

    Args:
      task: what is trained.
      state: before the step.
      batch: images uint8 [b,h,w,3], and the labels that the task asks for.
      key: the run's key; the step's own is folded from it, so a resumed run draws the same numbers.
      hyper: of the optimiser.

    Returns:
      The state after the step, and the batch's metrics.
    """
    key = jax.random.fold_in(key, state.step)
    batch = task.augmented(batch, jax.random.fold_in(key, AUGMENTED))

    def objective(params: Any) -> tuple[jax.Array, Any]:
        variables = {**state.variables, "params": params}
        found = task.loss(variables, batch, key, state.step)
        parts = {name: jnp.mean(values) for name, values in found.parts.items()}
        return jnp.mean(found.values), (parts, found.collections)

    params = state.variables["params"]
    (value, (parts, collections)), grads = jax.value_and_grad(objective, has_aux=True)(params)
    with jax.numpy_dtype_promotion("standard"):  # "strict" is for our own lines: optax does not keep to it
        updates, opt_state = task.optimizer(hyper).update(grads, state.opt_state, params)
    variables = {**state.variables, **collections, "params": optax.apply_updates(params, updates)}
    average = averaged(state.average, variables, hyper.optimizer.ema_decay, state.step)
    metrics = {"loss": value, **parts, "grad_norm": optax.tree.norm(grads)}
    return State(state.step + 1, variables, opt_state, average), metrics


def train_steps(
    task: Task,
    batch: Callable[[jax.Array], Batch],
    state: State,
    count: jax.Array,
    key: jax.Array,
    hyper: Hyper,
    *,
    length: int,
) -> tuple[State, Metrics]:
    """The first `count` of k = `length` steps; `batch` gives the batch of step i. The rest is as in `train_step`.

    Returns:
      The state after the steps, and metrics [k], 0 past `count`: JAX_DEBUG_NANS takes any NaN for an error.
    """

    @functools.partial(jax.jit, inline=True)  # traced once, for the names and in the loop
    def step(state: State, i: jax.Array) -> tuple[State, Metrics]:
        return train_step(task, state, batch(i), key, hyper)

    def body(i: jax.Array, carry: tuple[State, Metrics]) -> tuple[State, Metrics]:
        state, metrics = step(carry[0], i)
        return state, {name: rows.at[i].set(metrics[name]) for name, rows in carry[1].items()}

    first = jnp.int32(0)
    _, metrics = jax.eval_shape(step, state, first)
    history = {name: jnp.zeros((length,), jnp.float32) for name in metrics}
    return lax.fori_loop(first, count, body, (state, history))


@functools.partial(jax.jit, static_argnames="mesh", donate_argnames="state")
def train_chunk(
    state: State, chunk: Chunk, count: jax.Array, key: jax.Array, task: Task, hyper: Hyper, *, mesh: Mesh
) -> tuple[State, Metrics]:
    """The compiled loop: the first `count` steps of a chunk in one call.

    The count is an argument, not a shape, so that one compiled program serves whole and partial chunks alike.

    Args:
      state: before the steps; donated.
      chunk: k batches.
      count: int32 scalar, at most k.
      key: the run's.
      task: what is trained; what is static of it shapes the program, its arrays are arguments.
      hyper: of the optimiser, likewise.
      mesh: the devices.

    Returns:
      The state after the steps, and metrics [k], 0 past `count`.
    """
    out = train_steps(task, lambda i: select(chunk, i, mesh), state, count, key, hyper, length=chunk.steps)
    return lax.with_sharding_constraint(out, replicated(mesh))


class Program(NamedTuple):
    """`train_chunk` compiled for one run: called with its positional arguments.

    Attributes:
      run: the program.
      seconds: that tracing and compiling took.
    """

    run: Callable[[State, Chunk, jax.Array, jax.Array, Task, Hyper], tuple[State, Metrics]]
    seconds: float


def compile_chunk(state: State, chunk: Chunk, task: Task, hyper: Hyper, mesh: Mesh) -> Program:
    """Compiles `train_chunk` ahead of its first call, so that it may go on while the rest of a run is prepared.

    Args:
      state: arrays, or `jax.ShapeDtypeStruct`, as everything here; only the shapes matter.
      chunk: of the feed.
      task: what is trained.
      hyper: of the optimiser.
      mesh: the devices.
    """
    whole = replicated(mesh)
    rest = jax.eval_shape(lambda *given: (jnp.int32(0), random_key(0), *given), task, hyper)
    rest = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole), rest)
    leaves, structure = jax.tree.flatten((state, chunk, *rest))
    described = tuple(jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding) for x in leaves)
    return _compiled(structure, described, mesh)


@functools.lru_cache(maxsize=8)
def _compiled(structure: Any, leaves: tuple[jax.ShapeDtypeStruct, ...], mesh: Mesh) -> Program:
    start = time.perf_counter()
    lowered = train_chunk.lower(*jax.tree.unflatten(structure, leaves), mesh=mesh)
    return Program(lowered.compile(), time.perf_counter() - start)
