"""A model needs `encode` and `decode` and nothing else; what is registered wrongly, or called wrongly, is said."""

import sys
import types
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jvae
from jvae.cli.settings import chosen
from jvae.config import ModelConfig
from jvae.errors import InputError
from jvae.models import registry
from jvae.models.model import LOSSES, Posterior, Reconstruction, init_variables
from jvae.registry import find
from jvae.training.log import read_metrics
from jvae.training.loop import train
from jvae.training.run import settings
from jvae.training.tasks.supervised import Supervised
from tests.faces import small_store
from tests.runs import ONE, TINY


@dataclass(frozen=True, kw_only=True)
class Bare(ModelConfig):
    """No settings."""

    def module(self, dtype: Any) -> "Net":
        return Net(self.image_size)


class Net(nn.Module):
    """Points in two groups, losses of its own in either direction, and a noise of the pixels."""

    side: int

    def setup(self) -> None:
        self.inward, self.outward = nn.Dense(3), nn.Dense(3)
        self.noise = self.param("noise", nn.initializers.constant(-1.0), ())

    def encode(self, x: jax.Array, train: bool = False) -> list[Posterior]:
        z = self.inward(x.mean((1, 2)))
        self.sow(LOSSES, "size", jnp.square(z).sum(-1))
        return [Posterior(part, jnp.full_like(part, -jnp.inf)) for part in jnp.split(z, [1], axis=-1)]

    def decode(self, z: jax.Array, train: bool = False) -> Reconstruction:
        self.sow(LOSSES, "size", jnp.ones(len(z)))
        self.sow(LOSSES, "other", jnp.full(len(z), 2.0))
        image = jnp.broadcast_to(nn.sigmoid(self.outward(z))[:, None, None], (len(z), self.side, self.side, 3))
        return Reconstruction(image, self.noise.reshape(1, 1, 1, 1))


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(registry.MODELS, "bare", f"{__name__}:Bare")


def test_a_model_is_what_encodes_and_decodes_and_nothing_else(tmp_path):
    store = small_store()
    cfg = TINY.replace(model=Bare(), objective=Supervised(beta=1.0), steps=4, eval_every=2, ema_decay=0.0)
    train(cfg, store, tmp_path / "run", mesh=ONE, progress=False)
    model = jvae.load(tmp_path / "run", mesh=ONE)
    assert model.latent_dim == 3 and model.decode(model.encode(store.images[:2])).shape == (2, 16, 16, 3)
    row = [row for row in read_metrics(tmp_path / "run") if row["split"] == "validation"][-1]
    rows = store.indices("validation")
    x, mean = store.images[rows] / 255, model.posterior(store.images, rows=rows)[0]
    noise, recon = float(model.variables["params"]["noise"]), row["sampled_error"]
    nats = 0.5 * x[0].size * (recon * np.exp(-noise) + noise + np.log(2 * np.pi))
    size = 1 + np.square(mean).sum(1).mean()
    assert row["kl"] == 0 and row["other"] == 2 and row["size"] == pytest.approx(size, rel=1e-4)
    assert row["objective"] == pytest.approx(nats + size + 2 + row["labels"], rel=1e-4)


WRONG = {
    "tuple": ((jnp.zeros((2, 3)), jnp.zeros((2, 3))), "Wrong.encode gives a tuple: must be a Posterior"),
    "shapes": (Posterior(jnp.zeros((2, 3)), jnp.zeros((2, 1))), r"float32 \[2, 1\] of 2 images: both must be \[2,d\]"),
    "half": (Posterior(jnp.zeros((2, 3), jnp.bfloat16), jnp.zeros((2, 3))), r"mean bfloat16 \[2, 3\]: must be float32"),
    "image": (
        Posterior(jnp.zeros((2, 3)), jnp.zeros((2, 3))),
        r"image float32 \[2, 3\]: must be float32 \[2, 16, 16, 3\]",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_model_that_breaks_the_contract_is_told_how(case):
    class Wrong(nn.Module):
        def encode(self, x: jax.Array, train: bool = False) -> Any:
            return WRONG[case][0]

        def decode(self, z: jax.Array, train: bool = False) -> jax.Array:
            return z

    with pytest.raises(InputError, match=WRONG[case][1]):
        init_variables(Wrong(), 16, jax.random.key(0))


def test_settings_of_one_name_in_two_parts_are_both_kept():
    @dataclass(frozen=True, kw_only=True)
    class Wide(Supervised):
        """One more.

        Attributes:
          widths: of something else.
        """

        widths: tuple[int, ...] = (7,)

    found = settings(TINY.replace(objective=Wide(beta=1.0)))
    assert (found["widths"], found["objective.widths"], found["objective"]) == ([4], [7], Wide.__qualname__)


def test_a_line_of_a_registry_that_leads_nowhere_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "there", types.ModuleType("there"))
    lines = {"a": "jvae.models.nothing:A", "b": "there:Thing", "c": "jvae.models.book:Book"}
    with pytest.raises(InputError, match=r"but there is no module jvae\.models\.nothing: mend"):
        find("model", lines, "a")
    with pytest.raises(
        InputError, match=r"model 'b' is registered as .there:Thing., but there has no 'Thing': mend that line"
    ):
        find("model", lines, "b")
    with pytest.raises(InputError, match="unknown model 'd'"):
        find("model", lines, "d")
    assert find("model", lines, "c").__name__ == "Book"


def test_what_fails_inside_of_a_registered_module_keeps_its_traceback(tmp_path, monkeypatch):
    (tmp_path / "broken_one.py").write_text("import no_such_package\n")
    (tmp_path / "broken_two.py").write_text("import math\nmath.no_such_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        find("model", {"a": "broken_one:A"}, "a")
    with pytest.raises(AttributeError, match="no_such_name"):
        find("model", {"a": "broken_two:A"}, "a")


def test_a_model_is_chosen_by_either_spelling_of_its_flag():
    for words in (["--model", "bare"], ["--model=bare"]):
        cfg, rest = chosen(["demo", *words, "--loop.steps=3"])
        assert isinstance(cfg.model, Bare) and rest == ["--loop.steps=3"]
    for words in (["--model"], ["--model", "--data"], ["--model="]):
        with pytest.raises(InputError, match="model"):
            chosen(["demo", *words])
    with pytest.raises(InputError, match="--objective needs a name: vae, perceptual, "):
        chosen(["demo", "--objective", "--data", "x"])
