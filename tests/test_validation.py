"""Scores of a validation: those of a direct computation, whatever the batches and the devices."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jvae.data.feed import Batch
from jvae.models.model import Posterior, to_float
from jvae.runtime.mesh import make_mesh
from jvae.training.task import Task
from jvae.training.tasks.vae import VaeTask
from jvae.training.validation import score
from tests.runs import TINY


@dataclasses.dataclass(frozen=True)
class Toy:
    """In place of a linen module: the posterior is the mean colour, the picture one grey."""

    def apply(self, variables: Any, x: jax.Array, method: str, mutable: Any = ()) -> Any:
        if method == "encode":
            mean = x.mean((1, 2))[:, :2]
            found: Any = Posterior(mean, jnp.full_like(mean, variables["params"]["logvar"]))
        else:
            found = jnp.broadcast_to(x[:, None, None, :1], (len(x), 16, 16, 3)) * variables["params"]["gain"]
        return (found, {}) if mutable else found


@dataclasses.dataclass(frozen=True)
class Images:
    """As much of a store as scores need."""

    images: np.ndarray
    attrs: np.ndarray
    attribute_names: tuple[str, ...] = ("Dark", "Bald")

    def __len__(self) -> int:
        return len(self.images)

    def attribute(self, name: str) -> int:
        return self.attribute_names.index(name)


def toy_task() -> VaeTask:
    return VaeTask(module=Toy(), config=TINY.model, r_loss_factor=np.float32(500))  # pyright: ignore[reportArgumentType]


def variables(logvar: float, gain: float) -> Any:
    return {"params": {"model": {"logvar": jnp.float32(logvar), "gain": jnp.float32(gain)}}}


STORE = Images(np.random.default_rng(0).integers(0, 256, (30, 16, 16, 3), np.uint8), np.eye(30, 2, dtype=bool))


@pytest.mark.parametrize("batch_size", [4, 7, 64])
def test_scores_are_those_of_a_direct_computation(batch_size):
    rows = np.arange(1, 30, 2)
    found: Any = variables(-3.0, 0.9)
    scores = score(toy_task(), found, STORE, rows, mesh=make_mesh(), batch_size=batch_size)  # pyright: ignore
    x = STORE.images[rows] / 255
    mean = x.mean((1, 2))[:, :2]
    error = ((x - 0.9 * mean[:, None, None, :1]) ** 2).mean()
    kl = 0.5 * (np.exp(-3) + mean**2 - 1 + 3).sum(1).mean()
    assert scores["n"] == 15
    np.testing.assert_allclose([scores["error"], scores["kl"]], [error, kl], rtol=1e-5)
    np.testing.assert_allclose(scores["psnr"], -10 * np.log10(error), rtol=1e-5)
    # sampling adds gain²·variance of z on average
    np.testing.assert_allclose(scores["sampled_error"], error + 0.81 * np.exp(-3), rtol=0.3)
    assert scores["book_objective"] == pytest.approx(10_000 * scores["sampled_error"] + scores["kl"])
    assert scores["objective"] == pytest.approx(500 * scores["sampled_error"] + scores["kl"])


def test_scores_do_not_depend_on_batches_or_devices():
    def scores(devices: int, batch_size: int) -> dict[str, float]:
        mesh = make_mesh(jax.devices()[:devices])
        found = variables(-1.0, 1.0)
        return score(toy_task(), found, STORE, np.arange(30), mesh=mesh, batch_size=batch_size)  # pyright: ignore

    one = scores(1, 30)
    for devices in (1, len(jax.devices())):
        assert scores(devices, 8) == pytest.approx(one, rel=1e-5)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Labelled(Task):
    """Scores that are the labels and the images' brightness."""

    labels: Any = dataclasses.field(default=("Bald", "Dark"), metadata={"static": True})

    def score(self, variables: Any, batch: Batch, keys: jax.Array) -> dict[str, jax.Array]:
        bright = to_float(batch.images).mean((1, 2, 3))
        return {"bald": batch.labels[:, 0] * 1.0, "dark": batch.labels[:, 1] * bright}


@pytest.mark.parametrize("batch_size", [4, 30])
def test_a_task_sees_the_labels_that_it_asks_for(batch_size):
    mesh: Any = make_mesh()
    scores = score(Labelled(), {"params": {}}, STORE, np.arange(10), mesh=mesh, batch_size=batch_size)  # pyright: ignore
    assert scores["bald"] == pytest.approx(0.1)  # of image 1 alone
    assert scores["dark"] == pytest.approx(STORE.images[0].mean() / 255 / 10, rel=1e-5)
