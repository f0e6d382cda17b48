import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jvae.models import conv, model
from jvae.models.blocks import Activate
from jvae.models.book import VAE
from jvae.models.model import Decode, Encode, Posterior
from jvae.runtime.hashing import random_key
from jvae.runtime.mesh import compute_dtype
from jvae.training.presets import BOOK, PRESETS
from tests.runs import fresh

KEY = random_key(0)
SMALL = BOOK.model.replace(image_size=16, widths=(4, 6), latent_dim=5)


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@functools.partial(jax.jit, static_argnames="module")
def train_pass(module, variables, x, seed):
    return model.train_pass(module, variables, x, random_key(seed))


def shapes(cfg):
    return jax.eval_shape(lambda key: model.init_variables(cfg.module(jnp.float32), cfg.image_size, key), KEY)


def test_the_books_layer_sizes():
    # the parameter counts in the book's summaries, less the biases that normalisation makes idle
    variables = shapes(BOOK.model)
    encoder, decoder = variables["params"]["encoder"], variables["params"]["decoder"]
    ends = [encoder[f"kernel_{i}"].shape for i in range(4)]
    assert ends == [(3, 3, 3, 32), (3, 3, 32, 64), (3, 3, 64, 64), (3, 3, 64, 64)]
    assert count(encoder["posterior"]) == 2 * (4096 * 200 + 200)
    assert count(decoder["dense"]) == 200 * 4096 + 4096
    # transposed convolutions to 64, 64, 32 and 3 channels; kernels are [3,3,out,in]
    ends = [decoder[f"kernel_{i}"].shape for i in range(4)]
    assert ends == [(3, 3, 64, 64), (3, 3, 64, 64), (3, 3, 32, 64), (3, 3, 3, 32)]
    assert decoder["bias"].shape == (3,)
    assert count(variables["batch_stats"]) == 2 * (32 + 3 * 64 + 64 + 64 + 32)


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "judge"])
def test_every_preset_maps_images_to_images(name):
    cfg = PRESETS[name].model
    module, variables = cfg.module(jnp.float32), shapes(cfg)
    images = jax.ShapeDtypeStruct((2, cfg.image_size, cfg.image_size, 3), jnp.uint8)
    posterior = jax.eval_shape(Encode(module), variables, images)
    assert posterior.mean.shape == posterior.logvar.shape == (2, cfg.latent_dim)
    recon = jax.eval_shape(Decode(module), variables, posterior.mean)
    assert recon.shape == images.shape and recon.dtype == jnp.float32


@pytest.fixture(scope="module")
def small():
    module = VAE(SMALL)
    return module, fresh(module, 16, KEY)


def test_pictures_lie_in_the_unit_interval(small):
    module, variables = small
    z = np.random.default_rng(1).standard_normal((4, 5), np.float32)
    x = jax.jit(Decode(module))(variables, 100 * z)
    assert x.min() >= 0 and x.max() <= 1


def test_inference_does_not_depend_on_the_batch(small):
    module, variables = small
    images = np.random.default_rng(1).integers(0, 256, (3, 16, 16, 3), np.uint8)
    encode = jax.jit(Encode(module))
    together = encode(variables, images).mean
    alone = np.concatenate([encode(variables, images[i : i + 1]).mean for i in range(3)])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_training_moves_the_running_statistics_by_the_momentum(small):
    module, variables = small
    x = np.random.default_rng(1).random((8, 16, 16, 3), np.float32)
    new = train_pass(module, variables, x, 2).collections["batch_stats"]["encoder"]["norm_0"]
    y = np.asarray(jax.jit(conv.down)(x, variables["params"]["encoder"]["kernel_0"]))
    np.testing.assert_allclose(new["mean"], 0.01 * y.mean((0, 1, 2)), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(new["var"], 0.99 + 0.01 * y.var((0, 1, 2)), rtol=1e-4)


def test_a_bias_before_normalisation_would_change_nothing(small):
    _, variables = small
    x = np.random.default_rng(1).random((8, 16, 16, 3), np.float32)
    y = np.asarray(jax.jit(conv.down)(x, variables["params"]["encoder"]["kernel_0"]))
    activate = Activate(SMALL.bn_epsilon, SMALL.bn_momentum, SMALL.leaky_slope, 0.0)
    rngs: Any = {"params": KEY, "dropout": KEY}
    norm = jax.jit(activate.init, static_argnums=2)(rngs, y, True)

    @jax.jit
    def apply(y):
        return activate.apply(norm, y, True, mutable=["batch_stats"], rngs={"dropout": KEY})[0]

    plain, biased = apply(y), apply(y + 0.1 * np.arange(4, dtype=np.float32))
    np.testing.assert_allclose(plain, biased, atol=1e-4)


def test_keys_decide_sample_and_dropout(small):
    module, variables = small
    x = np.random.default_rng(1).random((8, 16, 16, 3), np.float32)

    def run(seed):
        return np.asarray(train_pass(module, variables, x, seed).reconstruction.image)

    assert (run(0) == run(0)).all() and not np.allclose(run(0), run(1))


def test_samples_follow_the_posterior():
    posterior = Posterior(*(jnp.full((100_000, 1), value) for value in (2.0, np.log(9))))
    z = np.asarray(jax.jit(Posterior.sample)(posterior, KEY))
    np.testing.assert_allclose([z.mean(), z.std()], [2, 3], rtol=0.02)


def test_dtype_follows_the_platform(monkeypatch):
    from jvae.runtime import mesh

    one = mesh.make_mesh(jax.devices()[:1])
    for accelerator, expected in ((True, jnp.bfloat16), (False, jnp.float32)):
        monkeypatch.setattr(mesh, "on_accelerator", lambda _, accelerator=accelerator: accelerator)
        assert compute_dtype("auto", one) == expected
        assert compute_dtype("float32", one) == jnp.float32


def test_bfloat16_keeps_parameters_statistics_and_posterior_in_float32():
    module = VAE(SMALL, jnp.bfloat16)
    variables = fresh(module, 16, KEY)
    x = np.random.default_rng(1).random((4, 16, 16, 3), np.float32)
    leaves = jax.tree.leaves((variables, train_pass(module, variables, x, 2)))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.float32)}


@pytest.fixture(scope="module")
def at_once(small):
    """97 images, latents, and what the module makes of them in one piece: the posterior, and pictures."""
    module, variables = small
    images = np.random.default_rng(0).integers(0, 256, (97, 16, 16, 3), np.uint8)
    z = np.random.default_rng(1).standard_normal((97, 5), np.float32)
    encode, decode = (jax.jit(functools.partial(module.apply, method=name)) for name in ("encode", "decode"))
    return images, z, encode(variables, images.astype(np.float32) / 255), decode(variables, z)


@pytest.mark.parametrize("b", [1, 31, 32, 33, 45, 64, 65, 97])
def test_large_batches_go_by_blocks_and_come_out_the_same(small, at_once, b):
    module, variables = small
    images, z, posterior, pictures = at_once
    for ours, theirs in zip(jax.jit(Encode(module))(variables, images[:b]), posterior, strict=True):
        np.testing.assert_allclose(ours, theirs[:b], atol=1e-5)
    np.testing.assert_allclose(jax.jit(Decode(module))(variables, z[:b]), pictures[:b], atol=1e-6)
