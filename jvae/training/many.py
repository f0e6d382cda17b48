"""A chunk of steps of many models in one compiled call: `vmap` over the train steps, the models split over devices.

On a CPU the models of a device go one after another, still in one call.
"""

from functools import partial
from typing import Any

import jax
import jax.extend.random
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jax.sharding import Mesh

from jvae.config import Config
from jvae.data.feed import chunk_order
from jvae.runtime.mesh import on_accelerator, over_models
from jvae.training.state import Hyperparameters, State, make_model, make_optimizer
from jvae.training.step import Metrics, train_steps


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


@partial(jax.jit, static_argnames=("cfg", "mesh"), donate_argnames="state")
def sweep_chunk(
    state: State,
    step_keys: jax.Array,
    order_keys: jax.Array,
    hyper: Hyperparameters,
    images: jax.Array,
    step: jax.Array,
    count: jax.Array,
    *,
    cfg: Config,
    mesh: Mesh,
) -> tuple[State, Metrics]:
    """The first `count` of cfg.chunk_steps steps of m models, in one call.

    Args:
      state: of the models, every leaf [m,…], split over the devices; donated.
      step_keys: uint32 [m,4], the data of each run's key.
      order_keys: uint32 [m,4], likewise of the order of the images; or [4], and all models see the same batches.
      hyper: every one [m].
      images: uint8 [n,h,w,3], every training image, whole on every device.
      step: int32 scalar, of the state.
      count: int32 scalar.
      cfg: what the models share.
      mesh: of the models.

    Returns:
      The state after the steps, and metrics [m,k], NaN past `count`.
    """
    model = make_model(cfg, mesh)
    own_order = order_keys.ndim == 2

    def one(state, step_key, order_key, hyper, images, step, count):
        wrap = partial(jax.random.wrap_key_data, impl=ONE_BY_ONE)
        order = chunk_order(wrap(order_key), step, n=len(images), b=cfg.batch_size, k=cfg.chunk_steps)  # [k,b]
        tx, weight = make_optimizer(cfg, hyper), hyper.r_loss_factor
        return train_steps(
            model, tx, weight, lambda i: images[order[i]], state, count, wrap(step_key), length=cfg.chunk_steps
        )

    split = (True, True, own_order, True, False, False, False)

    def in_turn(*args):
        own = tuple(x for x, each in zip(args, split, strict=True) if each)

        def model(own):
            mine = iter(own)
            return one(*(next(mine) if each else x for x, each in zip(args, split, strict=True)))

        return jax.lax.map(model, own)

    # A model fills a CPU by itself, and several at once leave its caches: four were half as fast, each, as one by one.
    at_once = jax.vmap(one, in_axes=tuple(0 if each else None for each in split))
    return over_models(at_once if on_accelerator(mesh) else in_turn, mesh, split)(
        state, step_keys, order_keys, hyper, images, step, count
    )
