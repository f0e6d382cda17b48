import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jvae.hashing import key_words
from jvae.models import norm

EPSILON, SLOPE = 1e-3, 0.3
WORDS = jnp.array([123456789, 987654321], jnp.uint32)


def plain(x, scale, bias, rate):
    """The three as flax and autodiff have them; only the mask is ours."""
    batch_norm = nn.BatchNorm(use_running_average=False, epsilon=EPSILON)
    stats = {"mean": jnp.zeros_like(bias), "var": jnp.ones_like(bias)}
    variables = {"params": {"scale": scale, "bias": bias}, "batch_stats": stats}
    y, _ = batch_norm.apply(variables, x.astype(jnp.float32), mutable=["batch_stats"])
    return norm.dropout(nn.leaky_relu(y, SLOPE), rate, WORDS)


def arrays(shape, dtype=jnp.float32):
    keys = jax.random.split(jax.random.key(0), 4)
    c = shape[-1]
    x = (1.5 + 2 * jax.random.normal(keys[0], shape)).astype(dtype)
    scale, bias = 1 + 0.3 * jax.random.normal(keys[1], (c,)), jax.random.normal(keys[2], (c,))
    return x, scale, bias, jax.random.normal(keys[3], shape, dtype)


@pytest.mark.parametrize("rate", [0.0, 0.25])
@pytest.mark.parametrize("shape", [(4, 6, 5, 7), (1, 3, 1, 1), (8, 8, 8, 32)])
def test_value_and_gradients_are_those_of_the_three_layers(shape, rate):
    x, scale, bias, gradient = arrays(shape)

    def ours(x, scale, bias):
        return norm.norm_activate(x, scale, bias, WORDS, EPSILON, SLOPE, rate).y

    expected, pull_expected = jax.vjp(functools.partial(plain, rate=rate), x, scale, bias)
    actual, pull = jax.vjp(jax.jit(ours), x, scale, bias)
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    for mine, theirs in zip(pull(gradient), pull_expected(gradient), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5 * max(1, float(jnp.abs(theirs).max())))


def test_mean_and_variance_are_the_batch_s():
    x, scale, bias, _ = arrays((4, 6, 5, 7))
    found = norm.norm_activate(x, scale, bias, WORDS, EPSILON, SLOPE, 0.0)
    np.testing.assert_allclose(found.mean, x.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(found.var, x.var((0, 1, 2)), rtol=1e-4)


def test_bfloat16_is_summed_in_float32():
    x, scale, bias, gradient = arrays((8, 32, 32, 3), jnp.bfloat16)

    def ours(x):
        return norm.norm_activate(x, scale, bias, WORDS, EPSILON, SLOPE, 0.25)

    found, pull = jax.vjp(lambda x: ours(x).y, x)
    assert found.dtype == jnp.bfloat16 and pull(gradient)[0].dtype == jnp.bfloat16
    np.testing.assert_allclose(ours(x).mean, x.astype(jnp.float32).mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(found.astype(jnp.float32), plain(x, scale, bias, 0.25), atol=0.05)


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 0.1])
def test_dropout_rate_and_scale(rate):
    y = norm.dropout(jnp.ones((200, 500)), rate, WORDS)
    np.testing.assert_allclose((y == 0).mean(), rate, atol=0.005)
    np.testing.assert_allclose(y.mean(), 1, atol=0.01)
    assert len(jnp.unique(y)) == (2 if rate else 1)


def test_what_dropout_drops_is_independent_of_place_and_step():
    key = jax.random.key(7, impl="rbg")
    x = jnp.ones((16, 32, 32, 8))
    steps = [key_words(jax.random.fold_in(key, step)) for step in range(40)]
    kept = np.stack([np.asarray(norm.dropout(x, 0.5, words) > 0) for words in steps]) - 0.5  # [step,b,h,w,c]
    limit = 5 / np.sqrt(kept.size) / 2  # five standard errors of a mean of ±1/4
    for axis in range(kept.ndim):
        for distance in (1, 2, 3, 4):
            assert abs((kept * np.roll(kept, distance, axis)).mean()) < limit, (axis, distance)
    # each element's own rate over the steps is binomial
    counts = (kept + 0.5).sum(0)
    np.testing.assert_allclose(counts.var(), 40 / 4, rtol=0.03)
