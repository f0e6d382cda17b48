"""The same VAE in Flax the plain way: nn.Conv, nn.ConvTranspose, nn.BatchNorm, nn.Dropout, a Python loop over steps."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training import train_state

from benchmarks.peers.common import Common


class TrainState(train_state.TrainState):
    """With the running statistics."""

    batch_stats: Any


class VAE(nn.Module):
    """Encoder and decoder in one pass, float32."""

    cfg: Common

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = True) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Images [b,h,w,3] in [0, 1] to reconstructions, means and log-variances [b,d]."""
        cfg = self.cfg

        def activate(x: jax.Array) -> jax.Array:
            x = nn.BatchNorm(use_running_average=not train, momentum=cfg.bn_momentum, epsilon=cfg.bn_epsilon)(x)
            x = nn.leaky_relu(x, cfg.leaky_slope)
            return nn.Dropout(cfg.dropout, deterministic=not train)(x)

        for width in cfg.widths:
            x = activate(nn.Conv(width, (3, 3), strides=2, use_bias=False)(x))
        top = x.shape
        x = x.reshape(x.shape[0], -1)
        mean, logvar = nn.Dense(cfg.latent_dim)(x), nn.Dense(cfg.latent_dim)(x)
        z = mean + jnp.exp(0.5 * logvar) * jax.random.normal(self.make_rng("sample"), mean.shape)
        x = nn.Dense(x.shape[1])(z).reshape(top)
        for width in cfg.widths[-2::-1]:
            x = activate(nn.ConvTranspose(width, (3, 3), strides=(2, 2), use_bias=False)(x))
        x = nn.ConvTranspose(3, (3, 3), strides=(2, 2))(x)
        return nn.sigmoid(x), mean, logvar


def init_state(cfg: Common) -> TrainState:
    """At step 0, with Adam."""
    model = VAE(cfg)
    keys: Any = dict(zip(("params", "sample", "dropout"), jax.random.split(jax.random.key(0), 3), strict=True))
    variables = jax.jit(model.init)(keys, jnp.zeros((1, cfg.image_size, cfg.image_size, 3)))
    tx = optax.adam(cfg.learning_rate, eps=cfg.adam_epsilon)
    return TrainState.create(
        apply_fn=model.apply, params=variables["params"], tx=tx, batch_stats=variables["batch_stats"]
    )


@functools.partial(jax.jit, static_argnames="weight")
def train_step(state: TrainState, images: jax.Array, key: jax.Array, *, weight: float) -> tuple[TrainState, jax.Array]:
    """One step on uint8 images [b,h,w,3]; the state after it and the loss."""
    x = images.astype(jnp.float32) / 255
    sample, dropout = jax.random.split(key)

    def objective(params: Any) -> tuple[jax.Array, Any]:
        (recon, mean, logvar), updated = state.apply_fn(
            {"params": params, "batch_stats": state.batch_stats},
            x,
            rngs={"sample": sample, "dropout": dropout},
            mutable=["batch_stats"],
        )
        kl = 0.5 * jnp.sum(jnp.exp(logvar) + mean**2 - 1 - logvar, axis=1)
        return weight * jnp.mean((recon - x) ** 2) + jnp.mean(kl), updated["batch_stats"]

    (value, batch_stats), grads = jax.value_and_grad(objective, has_aux=True)(state.params)
    return state.apply_gradients(grads=grads, batch_stats=batch_stats), value


def training(cfg: Common, images: np.ndarray, steps: int) -> Callable[[], None]:
    """A function that does `steps` steps, each on a random batch of the images, which are in the host's memory."""
    weight, rng = cfg.r_loss_factor, np.random.default_rng(0)
    state, key = init_state(cfg), jax.random.key(0)

    def run() -> None:
        nonlocal state, key
        for _ in range(steps):
            key, step_key = jax.random.split(key)
            batch = images[rng.integers(len(images), size=cfg.batch_size)]
            state, value = train_step(state, batch, step_key, weight=weight)
        jax.block_until_ready((state, value))

    return run
