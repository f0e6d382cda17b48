"""A tiny run that tests train, stop, resume and look into.

Compiling takes most of a tiny run's time, so tests share its settings, and the run itself, wherever they can.
"""

import functools
import signal
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from jvae.judge.judge import Judge, score_judge
from jvae.judge.net import JudgeNet, init_judge
from jvae.models.model import init_variables
from jvae.runtime.hashing import random_key
from jvae.runtime.mesh import make_mesh, put, replicated
from jvae.training import loop
from jvae.training.checkpoint import Checkpoints
from jvae.training.loop import train
from jvae.training.presets import BOOK
from jvae.training.state import init_state, state_shapes
from jvae.training.task import Hyper
from jvae.training.tasks.judge import judgeable
from tests.faces import small_store

TINY = BOOK.replace(
    preset="tiny", image_size=16, widths=(4,), latent_dim=6, batch_size=8, chunk_steps=3, eval_every=6, steps=17,
    learning_rate=5e-3, ema_decay=0.9,
)  # fmt: skip
ONE = make_mesh(jax.devices()[:1])
KEYS = loop.run_keys(0, ONE)
fresh = jax.jit(init_variables, static_argnums=(0, 1))  # module, image size, key: compiled as a whole


@functools.cache
def whole_run() -> Path:
    """A run on the small store that was never stopped, made once for all test files of a worker: to be read."""
    run = Path(tempfile.mkdtemp(prefix="jvae-run-")) / "run"
    outcome = train(TINY, small_store(), run, mesh=ONE, progress=False)
    assert (outcome.step, outcome.total, outcome.signum) == (17, 17, None)
    return run


def task_of(cfg=TINY, labels=()):
    """The task of a config, as arrays on the device, and its hyperparameters."""
    task = cfg.objective.task(cfg.model, labels, jnp.dtype(jnp.float32))
    return put((task, Hyper.of(cfg.optimizer, 17)), replicated(ONE))


def shapes_of(cfg=TINY):
    task, hyper = task_of(cfg)
    return state_shapes(task, hyper, ONE)


def fresh_state(cfg=TINY):
    task, hyper = task_of(cfg)
    return init_state(task, KEYS[0], hyper, mesh=ONE)


def last_state(run, cfg=TINY):
    like = shapes_of(cfg)
    with Checkpoints(run, read_only=True) as checkpoints:
        return jax.device_get(checkpoints.restore(like))


def untrained_judge(store, blocks=0) -> Judge:
    """A judge of what can be judged in a store, that guesses; it sees no attribute in any face."""
    names, missing = judgeable(store)
    net = JudgeNet(len(names), store.size, blocks=blocks)
    attrs = store.attrs[:, [store.attribute(name) for name in names]]
    guesses = np.random.default_rng(0).normal(size=(2, *attrs.shape))
    scores = score_judge(names, np.zeros(len(names)), attrs, *guesses)
    variables = jax.jit(functools.partial(init_judge, net))(random_key(0))
    return Judge(names, store.size, variables, np.full(len(names), 100.0), scores, missing, blocks=blocks, mesh=ONE)


def stop_after(chunks):
    """A `stopped` that gives SIGTERM once so many chunks are done."""
    asked = iter(range(1000))
    return lambda: signal.SIGTERM if next(asked) == chunks - 1 else None


def assert_equal_states(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def assert_same_judge(one, other):
    assert one.attribute_names == other.attribute_names and one.image_size == other.image_size
    assert one.missing == other.missing
    np.testing.assert_array_equal(one.thresholds, other.thresholds)
    pd.testing.assert_frame_equal(one.scores, other.scores)
    assert_equal_states(one.variables, other.variables)


def assert_equal_files(a, b):
    """Metrics and pictures, byte for byte: no row twice, none missing."""
    assert (a / "metrics.jsonl").read_bytes() == (b / "metrics.jsonl").read_bytes()
    pictures = {path.name: path.read_bytes() for path in (a / "figures").iterdir()}
    assert pictures == {path.name: path.read_bytes() for path in (b / "figures").iterdir()}
