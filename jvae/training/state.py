"""What training carries from step to step, and the optimiser that moves it."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from jvae.config import Config
from jvae.models import loss
from jvae.models.vae import VAE, Variables, compute_dtype, init_variables
from jvae.runtime.mesh import on_accelerator, replicated


class State(NamedTuple):
    """Everything a resumed run needs besides its config.

    Attributes:
      step: int32 scalar.
      params: that are trained.
      batch_stats: running statistics.
      opt_state: the optimiser's.
      average: exponential moving average of the trained variables, where cfg.ema_decay asks for one; else None.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    average: Variables | None

    @property
    def trained(self) -> Variables:
        """The variables of the last step."""
        return {"params": self.params, "batch_stats": self.batch_stats}

    @property
    def variables(self) -> Variables:
        """What inference takes: the average, or the variables of the last step."""
        return self.trained if self.average is None else self.average


class Hyperparameters(NamedTuple):
    """The numbers of a run that are arguments of its compiled program: runs that differ in them alone share one.

    Attributes:
      learning_rate: float32 scalar, the schedule's peak.
      r_loss_factor: float32 scalar, weight of the squared error beside the KL.
      total_steps: int32 scalar, of the whole run: where a schedule ends.
    """

    learning_rate: Any
    r_loss_factor: Any
    total_steps: Any


def hyperparameters(cfg: Config, total_steps: int) -> Hyperparameters:
    """Those of `cfg`, on the host."""
    factor = loss.loss_weights(cfg).r_loss_factor
    return Hyperparameters(np.float32(cfg.learning_rate), np.float32(factor), np.int32(total_steps))


def learning_rate(cfg: Config, peak: Any, total_steps: Any) -> optax.Schedule:
    """Step → learning rate: linear warm-up to `peak`, then constant or a cosine to 0 at `total_steps`.

    A step that is a number of Python's gives one at once, where a schedule of optax would compile its parts.
    """

    def rate(step: Any) -> Any:
        xp = jnp if isinstance(step, jax.Array) else np
        rest = 1.0
        if cfg.schedule == "cosine":
            falling = xp.maximum(1, total_steps - cfg.warmup_steps)
            rest = (1 + xp.cos(np.pi * xp.clip((step - cfg.warmup_steps) / falling, 0, 1))) / 2
        warm = xp.minimum(step / cfg.warmup_steps, 1) if cfg.warmup_steps else 1.0
        return peak * warm * rest

    return rate


def make_optimizer(cfg: Config, hyper: Hyperparameters) -> optax.GradientTransformation:
    """Adam (Kingma & Ba 2015) with the schedule of `cfg`."""
    return optax.adam(learning_rate(cfg, hyper.learning_rate, hyper.total_steps), eps=cfg.adam_epsilon)


def make_model(cfg: Config, mesh: Mesh) -> VAE:
    """The module of `cfg`, its matrix work in the dtype that suits the devices."""
    return VAE(cfg, compute_dtype(cfg, on_accelerator(mesh)))


def averaged(average: Variables | None, trained: Variables, decay: float, step: jax.Array) -> Variables | None:
    """The moving average one step on; young averages forget faster, so that the first variables do not linger.

    Args:
      average: before the step, or None: there is none.
      trained: after it.
      decay: in [0, 1); the average keeps min(decay, (1 + step) / (10 + step)).
      step: steps before it.
    """
    if average is None:
        return None
    new: Any = optax.incremental_update(trained, average, 1 - jnp.minimum(decay, (1 + step) / (10 + step)))
    return new


@functools.partial(jax.jit, static_argnames=("cfg", "mesh"))
def init_state(key: jax.Array, *, cfg: Config, mesh: Mesh) -> State:
    """A state at step 0, float32, whole on every device, from `key`."""
    variables = init_variables(make_model(cfg, mesh), key)
    opt_state = make_optimizer(cfg, hyperparameters(cfg, 1)).init(variables["params"])  # they do not come into it
    average = variables if cfg.ema_decay else None
    state = State(jnp.zeros((), jnp.int32), **variables, opt_state=opt_state, average=average)
    return jax.lax.with_sharding_constraint(state, replicated(mesh))


def state_shapes(cfg: Config, mesh: Mesh) -> State:
    """What `init_state` gives, as `jax.ShapeDtypeStruct` instead of arrays: nothing is compiled."""
    key = jax.eval_shape(lambda: jax.random.key(0, impl="rbg"))
    state = jax.eval_shape(functools.partial(init_state, cfg=cfg, mesh=mesh), key)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated(mesh)), state)
