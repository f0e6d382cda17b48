"""A model that begins as the linear one, from the data, and adds to it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jvae.config import Config, LoopConfig
from jvae.errors import InputError
from jvae.models.linear import Linear
from jvae.models.model import Decode, Encode
from jvae.models.principal import Principal
from jvae.trained import load
from jvae.training import loop
from jvae.training.loop import train
from jvae.training.presets import preset
from jvae.training.sweep import sweep
from jvae.training.tasks.vae import Vae
from tests.faces import small_store
from tests.runs import ONE, fresh_state, untrained_judge

MODEL = Principal(image_size=16, widths=(4, 8), blocks=(1, 1), groups=2, latent_dim=5, head_width=4)
CFG = Config(
    preset="tiny",
    model=MODEL,
    objective=Vae(r_loss_factor=5_000.0, mirror=True),
    loop=LoopConfig(batch_size=8, steps=4, eval_every=4, chunk_steps=2),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = tmp_path_factory.mktemp("principal") / "run"
    train(CFG, small_store(), run, mesh=ONE, progress=False)
    return run


@pytest.fixture(scope="module")
def begun():
    store = small_store()
    task = loop.make_task(CFG, store, ONE)
    return loop.started(task, fresh_state(CFG), store, store.indices("train"), ONE)


def test_it_begins_as_the_linear_model(begun):
    store, x = small_store(), jnp.asarray(small_store().images[:20])
    linear = CFG.replace(model=Linear(image_size=16, latent_dim=5))
    solved = loop.make_task(linear, store, ONE).solve(store.images, store.indices("train"), ONE)
    ours, theirs = ({c: tree["model"] for c, tree in found.items()} for found in (begun.variables, solved))
    modules = MODEL.module(jnp.float32), linear.model.module(jnp.float32)
    posteriors: Any = [Encode(module)(own, x) for module, own in zip(modules, (ours, theirs), strict=True)]
    for one, other in zip(*posteriors, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert np.abs(posteriors[1].mean).max() > 1
    images: Any = [Decode(module)(own, posteriors[1].mean) for module, own in zip(modules, (ours, theirs), strict=True)]
    np.testing.assert_allclose(*images, atol=1e-5)


def test_what_was_solved_stays_and_the_rest_learns(run, begun):
    model = load(run, mesh=ONE)
    before, after = ({**begun.variables["linear"]["model"]}, model.variables["linear"])
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(after), jax.device_get(before))
    x: Any = small_store().images[:20]
    fixed = model.variables | {"params": begun.variables["params"]["model"]}
    z: Any = model.encode(x)
    assert np.abs(model.decode_fn(model.variables, z) - model.decode_fn(fixed, z)).max() > 1e-3
    assert np.abs(z - Encode(MODEL.module(jnp.float32))(fixed, x).mean).max() > 1e-3


def test_a_sweep_begins_each_from_the_data(begun, tmp_path):
    cfgs = {"a": CFG, "b": CFG.replace(r_loss_factor=50_000.0)}
    sweep(cfgs, small_store(), tmp_path / "sweep", devices=jax.devices()[:1], progress=False)
    own = {name: load(tmp_path / "sweep" / name, mesh=ONE).variables["linear"] for name in cfgs}
    same = begun.variables["linear"]["model"]
    np.testing.assert_allclose(own["a"]["linear_decoder"], same["linear_decoder"], atol=1e-6)
    assert np.abs(own["b"]["linear_logvar"] - same["linear_logvar"]).max() > 1


def test_the_preset_faces_on_rendered_faces(tmp_path):
    store, judge = small_store(), tmp_path / "judge.npz"
    untrained_judge(store).save(judge)
    small = {"image_size": 16, "widths": (4, 8), "groups": 2, "latent_dim": 5, "batch_size": 8, "chunk_steps": 2}
    cfg = preset("faces").replace(judge=str(judge), steps=4, warmup_steps=1, **small)
    train(cfg, store, tmp_path / "run", mesh=ONE, progress=False)
    judge.unlink()  # who opens the model needs it no more
    model = load(tmp_path / "run", mesh=ONE)
    assert model.encode(store.images[:3]).shape == (3, 5) and model.config.objective.mirror
    with pytest.raises(InputError, match="the objective perceptual needs a judge: `jvae judge --data STORE"):
        train(cfg.replace(judge=""), store, tmp_path / "without", mesh=ONE, progress=False)
    assert not (tmp_path / "without").exists()
