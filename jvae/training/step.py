"""One optimiser step, and k of them compiled into one call."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.sharding import Mesh

from jvae.config import Config
from jvae.data.feed import Chunk, select
from jvae.mesh import replicated
from jvae.models import loss
from jvae.models.vae import VAE, to_float, train_pass
from jvae.training.state import State


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
    model: VAE, tx: optax.GradientTransformation, cfg: Config, state: State, images: jax.Array, key: jax.Array
) -> tuple[State, Metrics]:
    """One step of gradient descent on the mean loss of a batch.

    Args:
      model: the module.
      tx: its optimiser.
      cfg: gives the loss weight.
      state: before the step.
      images: uint8 [b,h,w,3].
      key: the run's key; the step's own is folded from it, so a resumed run draws the same numbers.

    Returns:
      The state after the step, and the batch's metrics.
    """
    weight = loss.loss_weights(cfg).r_loss_factor
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
    return State(state.step + 1, params, batch_stats, opt_state), metrics


def make_train_chunk(model: VAE, tx: optax.GradientTransformation, cfg: Config, mesh: Mesh) -> Any:
    """The compiled loop: `train_chunk(state, chunk, count, key) -> (state, metrics)`.

    It runs the first `count` (int32 scalar) steps of `chunk`, at most k = cfg.chunk_steps, in one call; `state` is
    donated. The count is an argument, not a shape, so that one compiled program serves whole and partial chunks alike.
    Metrics are [k], NaN past `count`.
    """
    k = cfg.chunk_steps

    def train_chunk(state: State, chunk: Chunk, count: jax.Array, key: jax.Array) -> tuple[State, Metrics]:
        def body(i: jax.Array, carry: tuple[State, Metrics]) -> tuple[State, Metrics]:
            state, history = carry
            state, metrics = train_step(model, tx, cfg, state, select(chunk, i, mesh), key)
            return state, Metrics(*(rows.at[i].set(value) for rows, value in zip(history, metrics, strict=True)))

        history = Metrics(*[jnp.full((k,), jnp.nan, jnp.float32)] * len(Metrics._fields))
        return lax.fori_loop(0, count, body, (state, history))

    whole = replicated(mesh)
    return jax.jit(train_chunk, donate_argnums=0, out_shardings=(whole, whole))
