import jax
import numpy as np
import pytest
from scipy import linalg, ndimage

from jvae.errors import InputError
from jvae.evaluate.similarity import frechet_distance, ssim


def images(n=3, h=20, w=24, seed=0):
    return np.random.default_rng(seed).random((n, h, w, 3)).astype(np.float32)


def ssim_by_definition(x, y):
    """In float64, by SciPy's Gaussian filter cut to 11 pixels."""
    x, y = (image.astype(np.float64) @ [0.299, 0.587, 0.114] for image in (x, y))

    def mean(v):
        return ndimage.gaussian_filter(v, 1.5, radius=5)[5:-5, 5:-5]

    variance_x, variance_y = mean(x * x) - mean(x) ** 2, mean(y * y) - mean(y) ** 2
    covariance = mean(x * y) - mean(x) * mean(y)
    first = (2 * mean(x) * mean(y) + 1e-4) / (mean(x) ** 2 + mean(y) ** 2 + 1e-4)
    return (first * (2 * covariance + 9e-4) / (variance_x + variance_y + 9e-4)).mean()


def test_ssim_by_definition():
    x, noise = images(), images(seed=1)
    for share in (0.0, 0.1, 0.5, 1.0):
        y = (1 - share) * x + share * noise
        expected = [ssim_by_definition(a, b) for a, b in zip(x, y, strict=True)]
        np.testing.assert_allclose(jax.jit(ssim)(x, y), expected, atol=2e-4)
    np.testing.assert_allclose(ssim(x, x), 1, atol=1e-6)


def test_ssim_falls_with_blur_and_noise():
    x = ndimage.gaussian_filter(images(), (0, 2, 2, 0))
    found = [float(ssim(x, ndimage.gaussian_filter(x, (0, s, s, 0))).mean()) for s in (0.5, 1, 2)]
    assert 1 > found[0] > found[1] > found[2]


def test_frechet_by_definition():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(300, 5)), 1 + rng.normal(size=(200, 5)) @ rng.normal(size=(5, 5))
    one, two = np.cov(first.T), np.cov(second.T)
    root = np.real(np.asarray(linalg.sqrtm(one @ two)))
    expected = ((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(one + two - 2 * root)
    np.testing.assert_allclose(frechet_distance(first, second), expected, rtol=1e-9)
    np.testing.assert_allclose(frechet_distance(first, first), 0, atol=1e-9)
    np.testing.assert_allclose(frechet_distance(first, first + 2), 5 * 4)


def test_frechet_of_features_that_never_vary():
    rng = np.random.default_rng(0)
    first = np.append(rng.normal(size=(100, 3)), np.zeros((100, 2)), axis=1)
    assert np.isfinite(frechet_distance(first, first[::-1] * 2))
    with pytest.raises(InputError, match="at least 2"):
        frechet_distance(first[:1], first)
    with pytest.raises(InputError, match="features must be"):
        frechet_distance(first, first[:, :2])
