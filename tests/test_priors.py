import numpy as np
import pytest

from jvae.errors import InputError, InputWarning
from jvae.latent import priors
from tests.test_kinds import data, totals_of

Z, ATTRS = data(5000)


def moments(z):
    return z.mean(0), np.cov(z.T)


def test_the_standard_normal():
    mean, covariance = moments(priors.standard_normal(6).sample(40_000))
    np.testing.assert_allclose(mean, np.zeros(6), atol=0.03)
    np.testing.assert_allclose(covariance, np.eye(6), atol=0.05)


def test_the_aggregate_has_the_mean_and_covariance_of_the_latents():
    prior = priors.aggregate(totals_of(Z, ATTRS))
    mean, covariance = moments(Z)
    np.testing.assert_allclose(prior.means[0], mean)
    np.testing.assert_allclose(prior.roots[0] @ prior.roots[0].T, covariance)
    found = moments(prior.sample(40_000, seed=3))
    np.testing.assert_allclose(found[0], mean, atol=0.05)
    np.testing.assert_allclose(found[1], covariance, atol=0.1)


def test_a_mixture_finds_the_clumps():
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0], [8, 0], [0, 8]])
    of = rng.choice(3, 3000, p=[0.5, 0.3, 0.2])
    prior = priors.mixture(centres[of] + 0.5 * rng.normal(size=(3000, 2)), 3)
    order = np.argsort(-prior.weights)
    np.testing.assert_allclose(prior.weights[order], [0.5, 0.3, 0.2], atol=0.04)
    np.testing.assert_allclose(prior.means[order], centres, atol=0.1)
    np.testing.assert_allclose(prior.roots @ prior.roots.swapaxes(1, 2), [0.25 * np.eye(2)] * 3, atol=0.05)
    near = np.linalg.norm(prior.sample(500)[:, None] - centres, axis=-1).min(1)
    assert (near < 3).all()


def test_temperature_and_seed():
    prior = priors.aggregate(totals_of(Z, ATTRS))
    np.testing.assert_array_equal(prior.sample(9, seed=1), prior.sample(9, seed=1))
    assert (prior.sample(9, seed=1) != prior.sample(9, seed=2)).any()
    np.testing.assert_allclose(prior.sample(9, temperature=0.0), np.tile(Z.mean(0), (9, 1)), rtol=1e-6)
    assert prior.sample(3).dtype == np.float32 and prior.sample(0).shape == (0, 6)


def test_bad_input():
    with pytest.raises(InputError, match="1 latents have no covariance"):
        priors.aggregate(totals_of(Z[:1], ATTRS[:1]))
    for components in (0, 11):
        with pytest.raises(InputError, match=f"components={components} "):
            priors.mixture(Z[:10], components)


def test_a_mixture_that_had_no_time_says_so(monkeypatch):
    monkeypatch.setattr(priors, "ROUNDS", 1)
    with pytest.warns(InputWarning, match="still changing after 1 rounds"):
        priors.mixture(np.random.default_rng(0).normal(size=(200, 3)), 4)
