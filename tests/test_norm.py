import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jvae.models import norm
from jvae.runtime.hashing import key_words, random_key
from tests.gradients import value_and_gradients

EPSILON, SLOPE = 1e-3, 0.3
WORDS = jnp.array([123456789, 987654321], jnp.uint32)


def plain(x, scale, bias, rate):
    """The three as flax and autodiff have them; only the mask is ours."""
    batch_norm = nn.BatchNorm(use_running_average=False, epsilon=EPSILON)
    stats = {"mean": jnp.zeros_like(bias), "var": jnp.ones_like(bias)}
    variables = {"params": {"scale": scale, "bias": bias}, "batch_stats": stats}
    y, _ = batch_norm.apply(variables, x.astype(jnp.float32), mutable=["batch_stats"])
    return norm.dropout(nn.leaky_relu(y, SLOPE), rate, WORDS)


@functools.partial(jax.jit, static_argnums=(0, 1))
def arrays(shape, dtype=jnp.float32):
    keys = jax.random.split(jax.random.key(0), 4)
    c = shape[-1]
    x = (1.5 + 2 * jax.random.normal(keys[0], shape)).astype(dtype)
    scale, bias = 1 + 0.3 * jax.random.normal(keys[1], (c,)), jax.random.normal(keys[2], (c,))
    return x, scale, bias, jax.random.normal(keys[3], shape, dtype)


@pytest.mark.parametrize("rate", [0.0, 0.25])
@pytest.mark.parametrize("shape", [(4, 6, 5, 7), (1, 3, 1, 1), (8, 8, 8, 32)])
def test_value_and_gradients_are_those_of_the_three_layers(shape, rate):
    def ours(x, scale, bias):
        return norm.norm_activate(x, scale, bias, WORDS, EPSILON, SLOPE, rate).y

    actual, *gradients = value_and_gradients(ours, *arrays(shape))
    expected, *gradients_expected = value_and_gradients(functools.partial(plain, rate=rate), *arrays(shape))
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    for mine, theirs in zip(gradients, gradients_expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5 * max(1, np.abs(theirs).max()))


def test_mean_and_variance_are_the_batch_s():
    x, scale, bias, _ = map(np.asarray, arrays((4, 6, 5, 7)))
    found = jax.jit(norm.norm_activate, static_argnums=(4, 5, 6))(x, scale, bias, WORDS, EPSILON, SLOPE, 0.0)
    np.testing.assert_allclose(found.mean, x.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(found.var, x.var((0, 1, 2)), rtol=1e-4)


def test_bfloat16_is_summed_in_float32():
    x, scale, bias, gradient = arrays((8, 32, 32, 3), jnp.bfloat16)

    def ours(x):
        return norm.norm_activate(x, scale, bias, WORDS, EPSILON, SLOPE, 0.25)

    none = jnp.zeros(3)
    found, back = value_and_gradients(ours, x, norm.Normalised(gradient, none, none))
    assert found.y.dtype == back.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.mean, np.asarray(x, np.float32).mean((0, 1, 2)), rtol=1e-5)
    expected = jax.jit(plain, static_argnums=3)(x, scale, bias, 0.25)
    np.testing.assert_allclose(np.asarray(found.y, np.float32), expected, atol=0.05)


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 0.1])
def test_dropout_rate_and_scale(rate):
    y = np.asarray(jax.jit(norm.dropout, static_argnums=1)(np.ones((200, 500), np.float32), rate, WORDS))
    np.testing.assert_allclose((y == 0).mean(), rate, atol=0.005)
    np.testing.assert_allclose(y.mean(), 1, atol=0.01)
    assert len(np.unique(y)) == (2 if rate else 1)


def test_what_dropout_drops_is_independent_of_place_and_step():
    key = random_key(7)

    @jax.jit
    def of_step(step):
        return norm.dropout(jnp.ones((16, 32, 32, 8)), 0.5, key_words(jax.random.fold_in(key, step))) > 0

    kept = np.stack([of_step(step) for step in range(40)]) - 0.5  # [step,b,h,w,c]
    limit = 5 / np.sqrt(kept.size) / 2  # five standard errors of a mean of ±1/4
    for axis in range(kept.ndim):
        for distance in (1, 2, 3, 4):
            assert abs((kept * np.roll(kept, distance, axis)).mean()) < limit, (axis, distance)
    # each element's own rate over the steps is binomial
    counts = (kept + 0.5).sum(0)
    np.testing.assert_allclose(counts.var(), 40 / 4, rtol=0.03)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm_and_silu_are_those_of_flax(groups, dtype):
    x, scale, bias, gradient = arrays((3, 4, 5, 6), dtype)
    plain: Any = nn.GroupNorm(num_groups=groups, epsilon=EPSILON)

    def theirs(x, scale, bias):
        return nn.silu(plain.apply({"params": {"scale": scale, "bias": bias}}, x.astype(jnp.float32)))

    def ours(x, scale, bias):
        return norm.group_norm_activate(x, scale, bias, groups, EPSILON, nn.silu)

    found = value_and_gradients(ours, x, scale, bias, gradient)
    expected = value_and_gradients(theirs, x, scale, bias, gradient.astype(jnp.float32))
    assert found[0].dtype == found[1].dtype == dtype
    for one, other in zip(found, expected, strict=True):
        bound = (0.02 if dtype == jnp.bfloat16 else 1e-5) * np.abs(np.asarray(other, np.float32)).max()
        np.testing.assert_allclose(np.asarray(one, np.float32), np.asarray(other, np.float32), atol=bound)
