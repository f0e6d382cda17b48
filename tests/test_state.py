"""The state that training carries: donated, averaged, saved; and the numbers that are no part of its program."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jvae.data.feed import Batch
from jvae.data.sources.face_drawing import draw
from jvae.data.sources.rendered import sample_factors
from jvae.latent.statistics import init_statistics, update
from jvae.runtime.mesh import replicated
from jvae.training import loop
from jvae.training import step as step_module
from jvae.training.checkpoint import Checkpoints
from jvae.training.state import averaged, init_state, state_shapes
from jvae.training.task import Hyper
from tests.faces import small_store
from tests.runs import KEYS, ONE, TINY, assert_equal_states, fresh_state, last_state, shapes_of, task_of


@pytest.fixture(scope="module")
def store():
    return small_store()


def make_feed(store):
    return loop.Feed(store.images, store.indices("train"), batch_size=8, chunk_steps=3, key=KEYS[1], mesh=ONE)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_runs_that_differ_in_numbers_alone_are_one_program(store, schedule):
    cfg = TINY.replace(schedule=schedule)
    other = cfg.replace(seed=4, learning_rate=1e-4, beta=3.0, steps=400, eval_every=9)
    args = shapes_of(cfg), make_feed(store).shapes, np.int32(3), KEYS[2]
    one, two = (step_module.train_chunk.lower(*args, *task_of(c), mesh=ONE).as_text() for c in (cfg, other))
    assert one == two


def test_a_state_and_its_shapes_are_traced_once(monkeypatch):
    (task, hyper), traced = task_of(), []
    init = type(task).init
    monkeypatch.setattr(type(task), "init", lambda self, key: traced.append(key) or init(self, key))
    init_state.clear_cache()  # pyright: ignore[reportAttributeAccessIssue]
    shapes = state_shapes(task, hyper, ONE, KEYS[0])
    state = init_state(task, KEYS[0], hyper, mesh=ONE)
    assert len(traced) == 1 and jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, shapes)


def test_the_state_is_donated(store):
    state = fresh_state()
    count = jax.device_put(np.int32(2), replicated(ONE))
    chunk = next(make_feed(store).chunks(0))
    new, metrics = step_module.train_chunk(state, chunk, count, KEYS[2], *task_of(), mesh=ONE)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.variables["params"]))
    assert int(new.step) == 2
    assert (
        np.isfinite(metrics["loss"][:2]).all() and metrics["loss"][2] == 0
    )  # no NaN, which JAX_DEBUG_NANS would stop at


def test_inference_takes_the_moving_average(store):
    state = fresh_state()
    chunks, one = make_feed(store).chunks(0), jax.device_put(np.int32(1), replicated(ONE))
    expected = jax.device_get(state.variables)
    for step in range(30):
        state, _ = step_module.train_chunk(state, next(chunks), one, KEYS[2], *task_of(), mesh=ONE)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = jax.tree.map(lambda a, x, d=decay: d * a + (1 - d) * x, expected, jax.device_get(state.variables))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), state.inference, expected)
    without = shapes_of(TINY.replace(ema_decay=0.0))
    assert without.average is None and without.inference is without.variables


def test_a_state_without_an_average_comes_back(tmp_path):
    cfg = TINY.replace(ema_decay=0.0)
    state = fresh_state(cfg)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(0, state)
    assert_equal_states(last_state(tmp_path, cfg), jax.device_get(state))


def test_learning_rate_schedules():
    cosine = TINY.replace(schedule="cosine", warmup_steps=4, learning_rate=1.0)
    rate = Hyper.of(cosine.optimizer, 20).rate
    np.testing.assert_allclose([np.asarray(rate(t)) for t in (0, 2, 4, 12, 20)], [0, 0.5, 1, 0.5, 0], atol=1e-6)
    assert Hyper.of(TINY.optimizer, 20).rate(7) == np.float32(TINY.optimizer.learning_rate)
    known = {
        cosine: optax.warmup_cosine_decay_schedule(0.0, 1.0, 4, 20),
        TINY.replace(schedule="cosine"): optax.cosine_decay_schedule(5e-3, 20),
        TINY.replace(warmup_steps=5): optax.warmup_constant_schedule(0.0, 5e-3, 5),
    }
    steps = np.arange(21)
    for cfg, schedule in known.items():
        rate, expected = Hyper.of(cfg.optimizer, 20).rate, np.asarray(jax.vmap(schedule)(steps))
        np.testing.assert_allclose([np.asarray(rate(int(t))) for t in steps], expected, rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(np.asarray(jax.vmap(rate)(steps)), expected, rtol=1e-5, atol=1e-8)


def test_what_is_no_float_is_not_averaged():
    before = {"counts": {"n": jnp.int32(3)}, "params": {"w": jnp.float32(1.0)}}
    after = {"counts": {"n": jnp.int32(8)}, "params": {"w": jnp.float32(3.0)}}
    found = averaged(before, after, 0.5, jnp.int32(100))
    assert found is not None and found["counts"]["n"] == 8 and found["counts"]["n"].dtype == jnp.int32
    assert found["params"]["w"] == 2


def test_strict_promotion_of_a_users_shell_is_kept_to_or_put_aside():
    task, hyper = task_of()
    faces = sample_factors(0, np.arange(2))
    batch = Batch(jnp.zeros((8, 16, 16, 3), jnp.uint8), jnp.zeros((8, 0), bool))
    rows = jnp.zeros((8, 4)), jnp.zeros((8, 3), bool), jnp.ones(8, bool)
    with jax.numpy_dtype_promotion("strict"):
        jax.eval_shape(step_module.train_step, task, shapes_of(), batch, KEYS[2], hyper)
        jax.eval_shape(functools.partial(draw, size=16), faces)
        jax.eval_shape(update, init_statistics(3, 4), *rows)
