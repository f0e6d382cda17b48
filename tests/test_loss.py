import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jvae.models import loss
from jvae.training.presets import BOOK


def test_squared_error_is_the_mean_over_pixels():
    x, y = np.random.default_rng(0).random((2, 5, 4, 6, 3), np.float32)
    np.testing.assert_allclose(loss.squared_error(x, y), ((x - y) ** 2).reshape(5, -1).mean(1), rtol=1e-6)


def test_squared_error_of_integers_does_not_wrap():
    x, y = jnp.zeros((1, 2, 2, 3), jnp.uint8), jnp.full((1, 2, 2, 3), 2, jnp.uint8)
    assert loss.squared_error(x, y) == 4


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="one shape"):
        loss.squared_error(jnp.zeros((2, 4, 4, 3)), jnp.zeros((1, 4, 4, 3)))
    with pytest.raises(ValueError, match="one shape"):
        loss.kl_divergence(jnp.zeros((2, 4)), jnp.zeros((1, 4)))


def test_kl_against_sampling():
    # E_q[log q(z) − log p(z)], by Monte Carlo
    mean, logvar = jnp.array([[0.5, -1.0, 0.0]]), jnp.array([[0.2, -1.5, 0.0]])
    z = mean + jnp.exp(logvar / 2) * jax.random.normal(jax.random.key(0), (400_000, 3))
    log_q = -0.5 * ((z - mean) ** 2 / jnp.exp(logvar) + logvar).sum(-1)
    log_p = -0.5 * (z**2).sum(-1)
    np.testing.assert_allclose(loss.kl_divergence(mean, logvar)[0], (log_q - log_p).mean(), rtol=0.01)
    assert loss.kl_divergence(jnp.zeros((1, 4)), jnp.zeros((1, 4))) == 0


def test_a_latent_that_is_a_point_costs_nothing():
    mean, logvar = jnp.array([[0.5, 3.0]]), jnp.array([[0.2, -jnp.inf]])
    known = loss.kl_divergence(mean[:, :1], logvar[:, :1])

    def total(mean, logvar):
        return loss.kl_divergence(mean, logvar).sum()

    np.testing.assert_allclose(loss.kl_divergence(mean, logvar), known)
    gradient = jax.grad(total)(mean, logvar)
    np.testing.assert_allclose(gradient, [[0.5, 0.0]])


def test_gaussian_nats_are_a_density():
    rng = np.random.default_rng(0)
    x, recon, logvar = rng.random((2, 3, 4, 3)), rng.random((2, 3, 4, 3)), rng.normal(size=(2, 3, 4, 1))
    spread = np.exp(logvar / 2)
    density = np.exp(-(((x - recon) / spread) ** 2) / 2) / (spread * math.sqrt(2 * math.pi))
    np.testing.assert_allclose(
        loss.gaussian_nats(*map(jnp.asarray, (x, recon, logvar))), -np.log(density).sum((1, 2, 3)), rtol=1e-5
    )


@pytest.mark.parametrize("given", ["r_loss_factor", "beta", "sigma"])
def test_the_three_weights_are_one(given):
    weights = BOOK.objective.weights(128)
    again = BOOK.objective.replace(**{given: getattr(weights, given)}).weights(128)
    np.testing.assert_allclose(again, weights, rtol=1e-12)
    assert weights.r_loss_factor == 10_000


def test_the_weights_order_models_alike():
    # r·mean² + KL, ½·Σ² + β·KL over β, and −ELBO differ by a constant only
    weights, pixels = BOOK.objective.weights(64), 3 * 64**2
    error, kl = np.array([0.01, 0.02, 0.005]), np.array([50.0, 20.0, 90.0])
    ours = weights.r_loss_factor * error + kl
    np.testing.assert_allclose((0.5 * error * pixels + weights.beta * kl) / weights.beta, ours)
    nats = loss.negative_elbo(error, kl, pixels=pixels, sigma=weights.sigma)
    np.testing.assert_allclose(nats - nats[0], ours - ours[0], rtol=1e-6)


def test_negative_elbo_is_a_gaussian_density():
    sigma, x, mean = 0.3, 0.8, 0.5
    density = math.exp(-((x - mean) ** 2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))
    nats = loss.negative_elbo(np.array([(x - mean) ** 2]), np.array([0.0]), pixels=1, sigma=sigma)
    np.testing.assert_allclose(nats, -math.log(density))


def test_bits_per_dim_of_a_uniform_guess_is_eight():
    # density 1 on [0, 1]: each of the 255 bins of width 1/255 has probability 1/255
    np.testing.assert_allclose(loss.bits_per_dim(np.array([0.0]), 12), math.log2(255))
