"""What training carries from step to step."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from jvae.models.model import Variables
from jvae.runtime.hashing import random_key
from jvae.runtime.mesh import replicated
from jvae.training.task import Hyper, Task


class State(NamedTuple):
    """Everything a resumed run needs besides its config.

    Attributes:
      step: int32 scalar.
      variables: of the last step: the parameters, and whatever other collections the task has.
      opt_state: the optimiser's.
      average: exponential moving average of the variables, where the settings ask for one; else None.
    """

    step: jax.Array
    variables: Variables
    opt_state: Any
    average: Variables | None

    @property
    def inference(self) -> Variables:
        """What inference takes: the average, or the variables of the last step."""
        return self.variables if self.average is None else self.average


def averaged(average: Variables | None, variables: Variables, decay: float, step: jax.Array) -> Variables | None:
    """The moving average one step on; young averages forget faster, so that the first variables do not linger.
    What is no float, such as a count that a network keeps, is taken as it is.

    Args:
      average: before the step, or None: there is none.
      variables: after it.
      decay: in [0, 1); the average keeps min(decay, (1 + step) / (10 + step)).
      step: steps before it.
    """
    if average is None:
        return None
    share = 1 - jnp.minimum(decay, (1 + step) / (10 + step))
    new: Any = optax.incremental_update(variables, average, share)
    return jax.tree.map(lambda mean, last: mean if jnp.issubdtype(last.dtype, jnp.inexact) else last, new, variables)


@functools.partial(jax.jit, static_argnames="mesh")
def init_state(task: Task, key: jax.Array, hyper: Hyper, *, mesh: Mesh) -> State:
    """A state at step 0, whole on every device, from `key`."""
    variables = task.init(key)
    opt_state = task.optimizer(hyper).init(variables["params"])
    average = variables if hyper.optimizer.ema_decay else None
    state = State(jnp.zeros((), jnp.int32), variables, opt_state, average)
    return jax.lax.with_sharding_constraint(state, replicated(mesh))


def state_shapes(task: Task, hyper: Hyper, mesh: Mesh, key: jax.Array | None = None) -> State:
    """What `init_state` gives, as `jax.ShapeDtypeStruct` instead of arrays: nothing is compiled.

    Of what it is to be called with, task and all on the devices, it is traced once for both.
    """
    key = jax.eval_shape(lambda: random_key(0)) if key is None else key
    state = jax.eval_shape(functools.partial(init_state, mesh=mesh), task, key, hyper)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated(mesh)), state)
