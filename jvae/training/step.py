"""One optimiser step, and k of them compiled into one call."""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.sharding import Mesh

from jvae.config import Config
from jvae.data.feed import Chunk, select
from jvae.models import loss
from jvae.models.vae import VAE, to_float, train_pass
from jvae.runtime.mesh import replicated
from jvae.training.state import (
    Hyperparameters,
    State,
    averaged,
    hyperparameters,
    make_model,
    make_optimizer,
    state_shapes,
)


class Metrics(NamedTuple):
    """Batch means of one step (or [k] of them), float32.

    Attributes:
      loss: r_loss_factor · error + kl, with a sampled z.
      error: squared error, mean over pixels and channels, values in [0, 1].
      kl: nats per image, summed over z.
      grad_norm: global norm of the gradient.
    """

    loss: jax.Array
    error: jax.Array
    kl: jax.Array
    grad_norm: jax.Array


def train_step(
    model: VAE,
    tx: optax.GradientTransformation,
    weight: float | jax.Array,
    state: State,
    images: jax.Array,
    key: jax.Array,
) -> tuple[State, Metrics]:
    """One step of gradient descent on the mean loss of a batch.

    Args:
      model: the module.
      tx: its optimiser.
      weight: r_loss_factor, of the squared error beside the KL.
      state: before the step.
      images: uint8 [b,h,w,3].
      key: the run's key; the step's own is folded from it, so a resumed run draws the same numbers.

    Returns:
      The state after the step, and the batch's metrics.
    """
    x = to_float(images)

    def objective(params: Any) -> tuple[jax.Array, Any]:
        recon, posterior, batch_stats = train_pass(
            model, params, state.batch_stats, x, jax.random.fold_in(key, state.step)
        )
        error = jnp.mean(loss.squared_error(x, recon))
        kl = jnp.mean(loss.kl_divergence(*posterior))
        return weight * error + kl, (error, kl, batch_stats)

    (value, (error, kl, batch_stats)), grads = jax.value_and_grad(objective, has_aux=True)(state.params)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    metrics = Metrics(value, error, kl, optax.tree.norm(grads))
    trained = {"params": params, "batch_stats": batch_stats}
    average = averaged(state.average, trained, model.cfg.ema_decay, state.step)
    return State(state.step + 1, **trained, opt_state=opt_state, average=average), metrics


def train_steps(
    model: VAE,
    tx: optax.GradientTransformation,
    weight: float | jax.Array,
    batch: Callable[[jax.Array], jax.Array],
    state: State,
    count: jax.Array,
    key: jax.Array,
    *,
    length: int,
) -> tuple[State, Metrics]:
    """The first `count` of k = `length` steps, traced once; `batch` gives the uint8 images [b,h,w,3] of step i.

    The rest is as in `train_step`.

    Returns:
      The state after the steps, and metrics [k], NaN past `count`.
    """

    def body(i: jax.Array, carry: tuple[State, Metrics]) -> tuple[State, Metrics]:
        state, history = carry
        state, metrics = train_step(model, tx, weight, state, batch(i), key)
        return state, Metrics(*(rows.at[i].set(value) for rows, value in zip(history, metrics, strict=True)))

    history = Metrics(*[jnp.full((length,), jnp.nan, jnp.float32)] * len(Metrics._fields))
    return lax.fori_loop(0, count, body, (state, history))


@functools.partial(jax.jit, static_argnames=("cfg", "mesh"), donate_argnames="state")
def train_chunk(
    state: State, chunk: Chunk, count: jax.Array, key: jax.Array, hyper: Hyperparameters, *, cfg: Config, mesh: Mesh
) -> tuple[State, Metrics]:
    """The compiled loop: the first `count` steps of a chunk in one call.

    The count is an argument, not a shape, so that one compiled program serves whole and partial chunks alike.

    Args:
      state: before the steps; donated.
      chunk: k = cfg.chunk_steps batches.
      count: int32 scalar, at most k.
      key: the run's.
      hyper: of the run; `cfg` says nothing of these numbers.
      cfg: of the run.
      mesh: the devices.

    Returns:
      The state after the steps, and metrics [k], NaN past `count`.
    """
    model, tx, weight = make_model(cfg, mesh), make_optimizer(cfg, hyper), hyper.r_loss_factor
    out = train_steps(model, tx, weight, lambda i: select(chunk, i, mesh), state, count, key, length=cfg.chunk_steps)
    return lax.with_sharding_constraint(out, replicated(mesh))


class Program(NamedTuple):
    """`train_chunk` compiled for one run: called with state, chunk, count, key and hyperparameters.

    Attributes:
      run: the program.
      seconds: that tracing and compiling took.
    """

    run: Callable[[State, Chunk, jax.Array, jax.Array, Hyperparameters], tuple[State, Metrics]]
    seconds: float


@functools.lru_cache(maxsize=8)
def compile_chunk(cfg: Config, mesh: Mesh, chunk: Chunk) -> Program:
    """Compiles `train_chunk` ahead of its first call, so that it may go on while the rest of a run is prepared.

    Args:
      cfg: of the run.
      mesh: the devices.
      chunk: of shapes instead of arrays.
    """
    start = time.perf_counter()
    state, whole = state_shapes(cfg, mesh), replicated(mesh)
    rest = jax.eval_shape(lambda: (jnp.int32(0), jax.random.key(0, impl="rbg"), hyperparameters(cfg, 1)))
    rest = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole), rest)
    lowered = train_chunk.lower(state, chunk, *rest, cfg=cfg, mesh=mesh)
    return Program(lowered.compile(), time.perf_counter() - start)
