"""What training carries from step to step, and the optimiser that moves it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jvae.config import Config
from jvae.models.vae import VAE, Variables, init_variables


class State(NamedTuple):
    """Everything a resumed run needs besides its config: step (int32 scalar), params, batch_stats, opt_state."""

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any

    @property
    def variables(self) -> Variables:
        """The part that inference needs."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def learning_rate(cfg: Config, total_steps: int) -> optax.Schedule:
    """Step → learning rate: linear warm-up, then constant or a cosine to 0 at `total_steps`."""
    if cfg.schedule == "cosine":
        rest = optax.cosine_decay_schedule(cfg.learning_rate, max(1, total_steps - cfg.warmup_steps))
    else:
        rest = optax.constant_schedule(cfg.learning_rate)
    if not cfg.warmup_steps:
        return rest
    return optax.join_schedules(
        [optax.linear_schedule(0.0, cfg.learning_rate, cfg.warmup_steps), rest], [cfg.warmup_steps]
    )


def make_optimizer(cfg: Config, total_steps: int) -> optax.GradientTransformation:
    """Adam (Kingma & Ba 2015) with the schedule of `cfg`."""
    return optax.adam(learning_rate(cfg, total_steps), eps=cfg.adam_epsilon)


def init_state(model: VAE, tx: optax.GradientTransformation, key: jax.Array) -> State:
    """A state at step 0, float32, from `key`."""
    variables = init_variables(model, key)
    return State(jnp.zeros((), jnp.int32), variables["params"], variables["batch_stats"], tx.init(variables["params"]))
