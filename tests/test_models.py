"""The corners of the contract of a model: what a module may be, trained, resumed, loaded and asked by everything."""

import dataclasses
import functools
import signal
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jvae import registry
from jvae.config import Config, LoopConfig, ModelConfig, OptimizerConfig
from jvae.errors import InputError
from jvae.models.model import LOSSES, Decode, Encode, Posterior, Reconstruction, init_variables, train_pass
from jvae.models.registry import MODELS
from jvae.models.residual import Residual
from jvae.runtime.hashing import random_key
from jvae.runtime.mesh import make_mesh
from jvae.trained import load
from jvae.training.loop import train
from jvae.training.tasks.vae import Vae
from tests.faces import small_store
from tests.runs import fresh

ONE = make_mesh(jax.devices()[:1])
KEY = random_key(0)
D = 5


@dataclass(frozen=True, kw_only=True)
class Toy(ModelConfig):
    """Two dense layers, and some of the corners.

    Attributes:
      latent_dim: length of z.
      corner: names of the corners.
    """

    latent_dim: int = D
    corner: str = "plain"

    def module(self, dtype: Any = jnp.float32) -> "ToyVAE":
        return ToyVAE(self)


class ToyVAE(nn.Module):
    cfg: Toy

    def setup(self) -> None:
        self.there, self.back = nn.Dense(2 * D), nn.Dense(3 * self.cfg.image_size**2)
        self.noise = self.param("noise", nn.initializers.constant(-3.0), (3,))

    def encode(self, x: jax.Array, train: bool = False) -> Posterior | list[Posterior]:
        mean, logvar = jnp.split(self.there(x.reshape(x.shape[0], -1) - 0.5), 2, axis=1)
        if "several" in self.cfg.corner:
            return [Posterior(mean[:, :2], logvar[:, :2]), Posterior(mean[:, 2:], logvar[:, 2:])]
        if "point" in self.cfg.corner:
            return Posterior(mean, jnp.full_like(mean, -jnp.inf))
        if "mixed" in self.cfg.corner:
            return Posterior(mean, logvar.at[:, 0].set(-jnp.inf))
        if "sown" in self.cfg.corner:
            self.sow(LOSSES, "commitment", jnp.sum(jnp.square(mean), 1))
        return Posterior(mean, logvar)

    def decode(self, z: jax.Array, train: bool = False) -> jax.Array | Reconstruction:
        side = self.cfg.image_size
        image = nn.sigmoid(self.back(z)).reshape(-1, side, side, 3)
        if "variance" in self.cfg.corner:
            return Reconstruction(image, self.noise.reshape(1, 1, 1, 3))
        if "sown" in self.cfg.corner:
            self.sow(LOSSES, "shrink", jnp.sum(jnp.square(z), 1))
            self.sow(LOSSES, "shrink", jnp.sum(jnp.square(z), 1))
        return image


CORNERS = ("several, sown, variance", "point")  # that are trained; "plain" and "mixed" are not
SMALL = Residual(widths=(8,), blocks=(1,), groups=2, head_width=2, latent_dim=D, norm="none")
LOOP = LoopConfig(batch_size=8, steps=8, eval_every=4, chunk_steps=4)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(MODELS, "toy", f"{__name__}:Toy")


def run_of(model: ModelConfig) -> Config:
    optimizer = OptimizerConfig(learning_rate=3e-3, ema_decay=0.5)
    return Config(model=model, objective=Vae(r_loss_factor=2_000.0), loop=LOOP, optimizer=optimizer)


@pytest.mark.parametrize("model", [*(Toy(corner=corner) for corner in CORNERS), SMALL], ids=[*CORNERS, "params alone"])
def test_every_corner_trains_resumes_and_loads(model, tmp_path):
    store, cfg = small_store(), run_of(model)
    whole = train(cfg, store, tmp_path / "whole", mesh=ONE, progress=False)
    parts = train(cfg, store, tmp_path / "parts", mesh=ONE, progress=False, stopped=stop_after_one())
    assert (whole.step, parts.step) == (8, 4)
    parts = train(cfg, store, tmp_path / "parts", mesh=ONE, progress=False)
    assert parts.step == 8 and whole.scores == parts.scores
    assert whole.scores and all(np.isfinite(value) for value in whole.scores.values())
    assert (tmp_path / "whole/metrics.jsonl").read_bytes() == (tmp_path / "parts/metrics.jsonl").read_bytes()
    models = [load(tmp_path / name, mesh=ONE) for name in ("whole", "parts")]
    jax.tree.map(np.testing.assert_array_equal, *(each.variables for each in models))
    images = store.images[:9]
    for latent in ("mean", "sample"):
        z = models[0].encode(images, latent)
        assert z.shape == (9, D) and np.isfinite(z).all()
    assert models[0].decode(z).shape == images.shape
    rows = store.indices("validation")
    assert models[0].reconstruction_scores(store, rows)["kl"] == pytest.approx(whole.scores["kl"], rel=1e-5)


@functools.partial(jax.jit, static_argnums=0)
def value_and_gradient(module, variables, x):
    def loss(params):
        found = train_pass(module, {"params": params}, x, KEY)
        return jnp.sum(found.posterior.sample(KEY)) + jnp.sum(found.reconstruction.image)

    return jax.value_and_grad(loss)(variables["params"])


def toy(corner: str):
    module = Toy(image_size=16, corner=corner).module()
    return module, fresh(module, 16, KEY)


def stop_after_one():
    """A `stopped` that gives SIGTERM once a chunk is done."""
    asked = iter(range(1000))
    return lambda: signal.SIGTERM if next(asked) == 0 else None


X = jnp.asarray(np.random.default_rng(0).random((4, 16, 16, 3), np.float32))


@pytest.mark.parametrize("corner", ["point", "mixed"])
def test_a_point_has_no_noise_and_finite_gradients(corner):
    module, variables = toy(corner)
    posterior = module.apply(variables, X, method="encode")
    assert isinstance(posterior, Posterior)
    points = np.isneginf(posterior.logvar)
    sample = posterior.sample(KEY)
    np.testing.assert_array_equal(sample[points], posterior.mean[points])
    assert corner == "point" or (sample != posterior.mean)[~points].all()
    value, gradient = value_and_gradient(module, variables, X)
    assert np.isfinite(value) and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_several_posteriors_are_joined():
    (module, variables), (plain, _) = toy("several"), toy("plain")
    x = jnp.asarray(small_store().images[:4])
    for one, other in zip(Encode(module)(variables, x), Encode(plain)(variables, x), strict=True):
        np.testing.assert_array_equal(one, other)


def test_losses_that_a_model_sows_are_added_by_name():
    module, variables = toy("sown")
    assert set(variables) == {"params"}
    found = train_pass(module, variables, X, KEY)
    assert set(found.losses) == {"commitment", "shrink"} and found.collections == {}
    np.testing.assert_allclose(found.losses["commitment"], jnp.sum(jnp.square(found.posterior.mean), 1), rtol=1e-5)
    assert found.losses["shrink"].shape == (4,)
    task = Vae(r_loss_factor=1.0).task(Toy(image_size=16, corner="sown"), (), jnp.float32)
    state = {"params": {"model": variables["params"]}}
    images = jnp.asarray(small_store().images[:4])
    batch: Any = type("B", (), {"images": images, "labels": None})
    loss = task.loss(state, batch, KEY, jnp.int32(0))
    total = loss.parts["error"] + loss.parts["kl"] + loss.parts["commitment"] + loss.parts["shrink"]
    np.testing.assert_allclose(loss.values, total, rtol=1e-5)


def test_a_variance_of_the_pixels_is_learned_by_its_likelihood():
    module, variables = toy("variance")
    assert Decode(module)(variables, jnp.zeros((2, D))).shape == (2, 16, 16, 3)
    found = train_pass(module, variables, X, KEY).reconstruction
    assert found.logvar is not None and found.logvar.shape == (1, 1, 1, 3)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "judge"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_every_model_that_ships_keeps_the_contract(name, dtype):
    cfg = registry.find("model", MODELS, name)()
    module = cfg.module(dtype)
    variables = jax.eval_shape(functools.partial(init_variables, module, cfg.image_size), KEY)
    images = jax.ShapeDtypeStruct((2, cfg.image_size, cfg.image_size, 3), jnp.uint8)
    posterior = jax.eval_shape(Encode(module), variables, images)
    recon = jax.eval_shape(Decode(module), variables, posterior.mean)
    assert posterior.mean.shape == posterior.logvar.shape == (2, cfg.latent_dim)
    assert recon.shape == images.shape
    assert {recon.dtype, posterior.mean.dtype, posterior.logvar.dtype} == {jnp.dtype(jnp.float32)}
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    assert dataclasses.asdict(cfg)["latent_dim"] == cfg.latent_dim


@pytest.mark.parametrize(("norm", "activation"), [("group", "silu"), ("none", "leaky_relu")])
def test_fresh_residual_decoders_show_no_grid(norm, activation):
    cfg = Residual(image_size=16, widths=(8, 8), blocks=(1, 1), groups=2, norm=norm, activation=activation)
    module = cfg.module()
    variables = fresh(module, 16, KEY)
    decoder = variables["params"]["decoder"]
    decoder["dense"]["kernel"] = jnp.zeros_like(decoder["dense"]["kernel"])  # the same features at every place
    decoder["dense"]["bias"] = jnp.tile(jnp.linspace(-1, 1, 8), 4)
    for name in ("block_0_0", "block_1_0"):  # whose own borders are learned
        assert not decoder[name]["kernel_1"].any()
    image = np.asarray(Decode(module)(variables, jnp.zeros((1, cfg.latent_dim))))
    assert image.std() > 1e-3
    inside = image[:, 1:-1, 1:-1]
    np.testing.assert_allclose(inside, np.broadcast_to(inside[:, :1, :1], inside.shape), atol=1e-6)


def test_a_residual_decoder_of_even_kernels_has_no_frame():
    module = Residual(image_size=16, widths=(8,), blocks=(0,), groups=2, norm="none").module()
    params = fresh(module, 16, KEY)["params"]
    decoder = jax.tree.map(jnp.ones_like, params["decoder"])
    decoder["kernel"] = 0.01 * decoder["kernel"]
    decoder["head"] = jax.tree.map(lambda leaf: 0.01 * leaf, decoder["head"])
    image = np.asarray(Decode(module)({"params": {**params, "decoder": decoder}}, jnp.zeros((1, 128))))
    assert 0.5 < image.min() < 1 and np.ptp(image) < 1e-6


BAD: list[tuple[dict[str, Any], str]] = [
    ({"widths": ()}, "widths"),
    ({"widths": (8, 12)}, "groups=8 does not divide"),
    ({"blocks": (1,)}, "blocks"),
    ({"norm": "batch"}, "norm"),
    ({"activation": "relu"}, "activation"),
    ({"image_size": 20}, "no multiple of 8.*pack the store at 16"),
    ({"head_width": 0}, "head_width=0"),
]


@pytest.mark.parametrize(("changes", "said"), BAD)
def test_residual_settings_that_break_a_rule(changes, said):
    with pytest.raises(InputError, match=said):
        Residual(**changes)
