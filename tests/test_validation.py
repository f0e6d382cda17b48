import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jvae.config import BOOK
from jvae.runtime.mesh import make_mesh
from jvae.training.validation import evaluate

CFG = BOOK.replace(image_size=16, widths=(4,), latent_dim=2)


def encode(variables, images):
    mean = images.astype(jnp.float32).mean((1, 2))[:, :2] / 255
    return mean, jnp.full_like(mean, variables["logvar"])


def decode(variables, z):
    return jnp.broadcast_to(z[:, None, None, :1], (z.shape[0], 16, 16, 3)) * variables["gain"]


@pytest.mark.parametrize("batch_size", [4, 7, 64])
def test_scores_are_those_of_a_direct_computation(batch_size):
    images = np.random.default_rng(0).integers(0, 256, (30, 16, 16, 3), np.uint8)
    rows = np.arange(1, 30, 2)
    variables = {"logvar": jnp.float32(-3.0), "gain": jnp.float32(0.9)}
    scores = evaluate(encode, decode, variables, CFG, images, rows, mesh=make_mesh(), batch_size=batch_size)
    x = images[rows] / 255
    mean = x.mean((1, 2))[:, :2]
    error = ((x - 0.9 * mean[:, None, None, :1]) ** 2).mean()
    kl = 0.5 * (np.exp(-3) + mean**2 - 1 + 3).sum(1).mean()
    assert scores.n == 15
    np.testing.assert_allclose([scores.error, scores.kl], [error, kl], rtol=1e-5)
    np.testing.assert_allclose(scores.psnr, -10 * np.log10(error), rtol=1e-5)
    # sampling adds gain²·variance of z on average
    np.testing.assert_allclose(scores.sampled_error, error + 0.81 * np.exp(-3), rtol=0.3)
    assert scores.book_objective == pytest.approx(10_000 * scores.sampled_error + scores.kl)


def test_scores_do_not_depend_on_batches_or_devices():
    images = np.random.default_rng(0).integers(0, 256, (30, 16, 16, 3), np.uint8)
    variables = {"logvar": jnp.float32(-1.0), "gain": jnp.float32(1.0)}
    score = functools.partial(evaluate, encode, decode, variables, CFG, images, np.arange(30))
    one = score(mesh=make_mesh(jax.devices()[:1]), batch_size=30)
    for devices in (1, len(jax.devices())):
        other = score(mesh=make_mesh(jax.devices()[:devices]), batch_size=8)
        np.testing.assert_allclose(other, one, rtol=1e-5)
