import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ive

from jvae.data import augment as augment_module
from jvae.data.augment import augment, blur, blur_matrix, jittered, place_matrix, resample
from jvae.models.model import to_float
from jvae.render.tiles import to_uint8
from jvae.runtime.hashing import random_key

KEY = random_key(0)


@given(st.lists(st.floats(0, 6, width=32), min_size=3, max_size=3), st.sampled_from([4, 16, 64]))
def test_a_blur_is_a_true_average(sigmas, size):
    m = np.asarray(blur_matrix(jnp.array(sigmas), size), np.float64)
    assert m.min() > -1e-6
    np.testing.assert_allclose(m.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(m.sum(2), 1, atol=1e-5)
    np.testing.assert_allclose(m, np.swapaxes(m, 1, 2), atol=1e-6)


@pytest.mark.parametrize("sigma", [0.3, 1.5, 3.0])
def test_the_blur_is_lindebergs_discrete_gaussian(sigma):
    row = np.asarray(blur_matrix(jnp.array([sigma]), 64))[0, 32]
    away = np.arange(64) - 32
    np.testing.assert_allclose(row, ive(np.abs(away), sigma**2), atol=1e-6)  # far enough from the ends
    assert (row * away**2).sum() == pytest.approx(sigma**2, rel=1e-3)


def test_sums_stay_and_blurs_add():
    x = jax.random.uniform(KEY, (3, 16, 16, 3))
    soft = blur(x, jnp.array([0.0, 1.0, 3.0]))
    np.testing.assert_allclose(soft.sum((1, 2)), x.sum((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(soft[0], x[0], atol=1e-5)
    assert x[1].std() > soft[1].std() > 0 and x[2].std() > 2 * soft[2].std()
    twice = blur(blur(x, jnp.full(3, 0.6)), jnp.full(3, 0.8))
    np.testing.assert_allclose(twice, blur(x, jnp.full(3, 1.0)), atol=1e-5)  # variances add


def test_an_image_is_moved_mirrored_and_scaled():
    x = jax.random.uniform(KEY, (1, 8, 8, 3))
    one, none, no, yes = jnp.ones(1), jnp.zeros(1), jnp.array([False]), jnp.array([True])
    still = place_matrix(none, one, no, 8)
    np.testing.assert_allclose(still[0], np.eye(8), atol=1e-6)
    np.testing.assert_allclose(resample(x, still, place_matrix(none, one, yes, 8)), x[:, :, ::-1], atol=1e-6)
    moved = resample(x, place_matrix(2 * one, one, no, 8), still)
    np.testing.assert_allclose(moved[:, 2:], x[:, :-2], atol=1e-6)
    np.testing.assert_allclose(moved[:, :2], np.repeat(x[:, :1], 2, axis=1), atol=1e-6)  # the last pixel goes on
    half_as_large = place_matrix(none, 0.5 * one, no, 8)[0]
    ramp = np.clip((np.arange(8) - 3.5) * 2 + 3.5, 0, 7)
    np.testing.assert_allclose(half_as_large @ jnp.arange(8.0), ramp, atol=1e-5)


def test_augmented_images_are_images_and_each_its_own():
    x = jnp.tile(jax.random.uniform(KEY, (1, 16, 16, 3)), (8, 1, 1, 1))
    changed = jax.jit(augment)(KEY, x)
    assert changed.shape == x.shape and changed.dtype == jnp.float32
    assert changed.min() >= 0 and changed.max() <= 1
    np.testing.assert_array_equal(changed, jax.jit(augment)(KEY, x))
    apart = np.abs(np.asarray(changed)[:, None] - np.asarray(changed)[None]).mean((2, 3, 4))
    assert apart[~np.eye(8, dtype=bool)].min() > 0.01
    means = changed.mean((1, 2, 3)) - x.mean((1, 2, 3))
    assert abs(means).max() < 0.2


def test_a_grey_image_stays_even():
    changed = jax.jit(augment)(KEY, np.full((8, 16, 16, 3), 0.5, np.float32))
    np.testing.assert_allclose(np.asarray(changed).std((1, 2)), 0, atol=1e-5)


def test_jitter_moves_by_whole_pixels(monkeypatch):
    monkeypatch.setattr(augment_module, "DIMMED", 0.0)
    images = np.random.default_rng(0).integers(0, 256, (64, 64, 64, 3), np.uint8)
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), "edge")
    moves = {(i, j): padded[:, i : i + 64, j : j + 64] for i in range(5) for j in range(5)}
    found = np.asarray(to_uint8(jittered(KEY, to_float(jnp.asarray(images)))))
    by = [[move for move, moved in moves.items() if (moved[k] == image).all()] for k, image in enumerate(found)]
    assert all(len(fitting) == 1 for fitting in by)
    assert len({move for (move,) in by}) > 15


def test_jitter_lights_most_images_and_each_otherwise():
    images = np.random.default_rng(0).integers(40, 200, (400, 16, 16, 3), np.uint8)
    x = to_float(jnp.asarray(images))
    found = np.asarray(to_uint8(jax.jit(jittered)(KEY, x)))
    np.testing.assert_array_equal(found, to_uint8(jax.jit(jittered)(KEY, x)))
    changed = (found != images).any((1, 2, 3))
    assert 0.65 < changed.mean() < 0.85
    for before, after in zip(images[changed][:20], found[changed][:20], strict=True):
        for channel in range(3):  # a line of the one by the other, but for rounding
            slope, start = np.polyfit(before[..., channel].ravel(), after[..., channel].ravel(), 1)
            assert 0.85 < slope < 1.18
            np.testing.assert_allclose(before[..., channel] * slope + start, after[..., channel], atol=1)
    means = found[changed].mean((1, 2)) - images[changed].mean((1, 2))
    assert means.std() > 4 and np.abs(means).max() < 255 * 0.1
