"""Mirror images: a half of each batch of a run, on the device; and whose vectors count both."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from jvae.config import OptimizerConfig
from jvae.data.augment import jittered
from jvae.data.feed import Batch
from jvae.data.mirror import WithMirrors, mirrored
from jvae.models.linear import Linear
from jvae.models.model import to_float
from jvae.render.tiles import to_uint8
from jvae.runtime.hashing import random_key
from jvae.runtime.mesh import along_data, make_mesh, replicated
from jvae.training.presets import PRESETS
from jvae.training.state import State
from jvae.training.step import train_step
from jvae.training.task import Hyper, Loss, Task
from jvae.training.tasks.vae import Vae
from tests.runs import ONE, TINY

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)
MIRRORED = TINY.replace(mirror=True)


def seen(cfg, number, images=IMAGES):
    """The images that a step learns from."""
    task = cfg.objective.task(cfg.model, (), jnp.float32)
    return np.asarray(task.augmented(Batch(jnp.asarray(images)), jax.random.fold_in(random_key(0), number)).images)


def test_a_half_of_each_batch_is_mirrored_and_which_is_chance():
    halves = []
    for step in range(8):
        found = seen(MIRRORED, step)
        chosen = (found != IMAGES).any((1, 2, 3))
        np.testing.assert_array_equal(found[chosen], IMAGES[chosen][:, :, ::-1])
        assert found.dtype == np.uint8 and chosen.sum() == 4
        halves.append(tuple(chosen))
    assert len(set(halves)) == 2
    np.testing.assert_array_equal(seen(MIRRORED, 3), seen(MIRRORED, 3))
    np.testing.assert_array_equal(seen(TINY, 3), IMAGES)


def test_jitter_comes_after():
    both = MIRRORED.replace(jitter=True)
    assert (seen(TINY.replace(jitter=True), 3) != IMAGES).any((1, 2, 3)).sum() >= 3
    key = jax.random.fold_in(jax.random.fold_in(random_key(0), 3), 1)
    expected = to_uint8(jittered(key, to_float(jnp.asarray(seen(MIRRORED, 3)))))
    np.testing.assert_array_equal(seen(both, 3), expected)


def test_presets_mirror_nothing_unless_they_say_so():
    assert not any(
        getattr(PRESETS[name].objective, "mirror", False) for name in ("book", "linear64", "residual64", "demo")
    )


class Leftmost(Task):
    """What a step is given: the mean of the left half of its images."""

    def augmented(self, batch, key):
        return Batch(mirrored(batch.images))

    def loss(self, variables, batch, key, step):
        left = batch.images[:, :, :8].astype(jnp.float32).mean((1, 2, 3))
        return Loss(left + variables["params"], {}, {})


def test_a_step_learns_from_what_the_task_makes_of_the_batch():
    task: Any = Leftmost()  # pyright: ignore[reportAbstractUsage]
    hyper = Hyper.of(OptimizerConfig(), 10)
    state = State(jnp.int32(0), {"params": jnp.float32(0)}, task.optimizer(hyper).init(jnp.float32(0)), None)
    _, metrics = train_step(task, state, Batch(jnp.asarray(IMAGES)), random_key(0), hyper)
    assert metrics["loss"] == pytest.approx(IMAGES[:, :, 8:].mean(), rel=1e-5)


@pytest.mark.skipif(len(jax.devices()) < 2, reason="needs two devices")
@pytest.mark.parametrize("cfg", [MIRRORED, MIRRORED.replace(jitter=True)])
def test_nothing_crosses_devices(cfg):
    mesh: Mesh = make_mesh()
    task = cfg.objective.task(cfg.model, (), jnp.float32)
    split, whole = along_data(mesh), replicated(mesh)
    step = jax.jit(task.augmented, in_shardings=(Batch(split), whole), out_shardings=Batch(split))
    compiled = step.lower(Batch(jax.ShapeDtypeStruct(IMAGES.shape, np.uint8)), random_key(0)).compile()
    text = str(compiled.as_text())
    assert not any(name in text for name in ("all-gather", "all-reduce", "all-to-all", "collective-permute"))
    found = compiled(Batch(jax.device_put(IMAGES, split)), jax.device_put(jax.random.fold_in(random_key(0), 5), whole))
    np.testing.assert_array_equal(np.asarray(found.images), seen(cfg, 5))


def test_a_closed_form_is_solved_for_both():
    cfg = MIRRORED.replace(model=Linear(image_size=16, latent_dim=3))
    task = cfg.objective.task(cfg.model, (), jnp.float32)
    assert task.closed_form
    assert not cfg.replace(jitter=True).objective.task(cfg.model, (), jnp.float32).closed_form
    both = WithMirrors(IMAGES)
    assert (len(both), both.shape) == (16, (16, 16, 16, 3))
    found = task.solve(IMAGES, np.arange(1, 8), ONE)["params"]["model"]
    plain = Vae(r_loss_factor=cfg.objective.r_loss_factor).task(cfg.model, (), jnp.float32)
    whole = np.concatenate([IMAGES[1:], IMAGES[1:, :, ::-1]])
    expected = plain.solve(whole, np.arange(14), ONE)["params"]["model"]
    assert found.keys() == expected.keys()
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5)
    mean = np.asarray(found["mean"]).reshape(16, 16, 3)
    np.testing.assert_allclose(mean, mean[:, ::-1], atol=1e-6)
