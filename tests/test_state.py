"""The state that training carries: donated, averaged, saved; and the numbers that are no part of its program."""

import jax
import numpy as np
import optax
import pytest

from jvae.runtime.mesh import put
from jvae.training import loop
from jvae.training import step as step_module
from jvae.training.checkpoint import Checkpoints
from jvae.training.state import hyperparameters, state_shapes
from tests.faces import small_store
from tests.runs import KEYS, ONE, TINY, assert_equal_states, last_state

HYPER = put(hyperparameters(TINY, 17), loop.replicated(ONE))


@pytest.fixture(scope="module")
def store():
    return small_store()


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_runs_that_differ_in_numbers_alone_are_one_program(store, schedule):
    cfg = TINY.replace(schedule=schedule)
    other = cfg.replace(seed=4, learning_rate=1e-4, beta=3.0, steps=400, eval_every=9)
    feed = loop.Feed(store.images, store.indices("train"), batch_size=8, chunk_steps=3, key=KEYS[1], mesh=ONE)
    args = state_shapes(cfg, ONE), feed.shapes, np.int32(3), KEYS[2], HYPER
    one, two = (step_module.train_chunk.lower(*args, cfg=c, mesh=ONE).as_text() for c in (cfg, other))
    assert one == two


def test_the_state_is_donated(store):
    state = loop.init_state(KEYS[0], cfg=TINY, mesh=ONE)
    rows = store.indices("train")
    feed = loop.Feed(store.images, rows, batch_size=8, chunk_steps=3, key=KEYS[1], mesh=ONE)
    count = jax.device_put(np.int32(2), loop.replicated(ONE))
    chunk = next(feed.chunks(0))
    new, metrics = step_module.train_chunk(state, chunk, count, KEYS[2], HYPER, cfg=TINY, mesh=ONE)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.params))
    assert int(new.step) == 2
    assert np.isfinite(metrics.loss[:2]).all() and np.isnan(metrics.loss[2])


def test_inference_takes_the_moving_average(store):
    state = loop.init_state(KEYS[0], cfg=TINY, mesh=ONE)
    feed = loop.Feed(store.images, store.indices("train"), batch_size=8, chunk_steps=3, key=KEYS[1], mesh=ONE)
    chunks, one = feed.chunks(0), jax.device_put(np.int32(1), loop.replicated(ONE))
    expected = jax.device_get(state.trained)
    for step in range(30):
        state, _ = step_module.train_chunk(state, next(chunks), one, KEYS[2], HYPER, cfg=TINY, mesh=ONE)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = jax.tree.map(lambda a, x, d=decay: d * a + (1 - d) * x, expected, jax.device_get(state.trained))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), state.variables, expected)
    without = state_shapes(TINY.replace(ema_decay=0.0), ONE)
    assert without.average is None and without.variables["params"] is without.params


def test_a_state_without_an_average_comes_back(tmp_path):
    cfg = TINY.replace(ema_decay=0.0)
    state = loop.init_state(KEYS[0], cfg=cfg, mesh=ONE)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(0, state)
    assert_equal_states(last_state(tmp_path, cfg), jax.device_get(state))


def test_learning_rate_schedules():
    cosine = TINY.replace(schedule="cosine", warmup_steps=4, learning_rate=1.0)
    rate = loop.learning_rate(cosine, 1.0, 20)
    np.testing.assert_allclose([np.asarray(rate(t)) for t in (0, 2, 4, 12, 20)], [0, 0.5, 1, 0.5, 0], atol=1e-6)
    assert loop.learning_rate(TINY, 0.3, 20)(7) == 0.3
    known = {
        cosine: optax.warmup_cosine_decay_schedule(0.0, 1.0, 4, 20),
        TINY.replace(schedule="cosine"): optax.cosine_decay_schedule(5e-3, 20),
        TINY.replace(warmup_steps=5): optax.warmup_constant_schedule(0.0, 5e-3, 5),
    }
    steps = np.arange(21)
    for cfg, schedule in known.items():
        rate, expected = loop.learning_rate(cfg, cfg.learning_rate, 20), np.asarray(jax.vmap(schedule)(steps))
        np.testing.assert_allclose([np.asarray(rate(int(t))) for t in steps], expected, rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(np.asarray(jax.vmap(rate)(steps)), expected, rtol=1e-5, atol=1e-8)
