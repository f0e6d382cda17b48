from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jvae.config import OptimizerConfig
from jvae.errors import InputError
from jvae.training.muon import RMS, A, B, C, orthogonal
from jvae.training.task import Hyper

SHAPES = [(40, 12), (6, 30), (3, 3, 4, 10), (7, 7), (1, 5)]


def matrices(scale=1.0):
    rng = np.random.default_rng(0)
    return [jnp.asarray(scale * rng.standard_normal(shape), jnp.float32) for shape in SHAPES]


@pytest.mark.parametrize("scale", [1.0, 1e-8, 1e8])
def test_steps_are_those_of_the_iteration_as_it_is_written(scale):
    for leaf, found in zip(matrices(), jax.jit(orthogonal)(matrices(scale)), strict=True):
        x = np.asarray(leaf, np.float64).reshape(-1, leaf.shape[-1])
        size = RMS * max(x.shape) ** 0.5
        x /= np.linalg.norm(x)
        for _ in range(5):
            gram = x @ x.T
            x = A * x + (B * gram + C * gram @ gram) @ x
        assert found.shape == leaf.shape
        np.testing.assert_allclose(np.asarray(found).reshape(x.shape), size * x, atol=1e-3 * size)
        values = np.linalg.svd(np.asarray(found, np.float64).reshape(x.shape), compute_uv=False) / size
        assert 0.6 < values.min() and values.max() < 1.25


def test_zeros_stay_zeros():
    for found in orthogonal([jnp.zeros(shape) for shape in SHAPES]):
        np.testing.assert_array_equal(found, 0)


def test_matrices_go_by_muon_and_biases_by_adam():
    rng = np.random.default_rng(1)
    params = {"kernel": jnp.ones((3, 3, 4, 8)), "bias": jnp.ones(8)}
    grads = [{name: jnp.asarray(rng.standard_normal(p.shape), jnp.float32) for name, p in params.items()} for _ in "ab"]
    steps: dict[str, Any] = {}
    for name in ("adam", "muon"):
        optimizer = Hyper.of(OptimizerConfig(name=name, learning_rate=0.01), 10).descent()
        state = optimizer.init(params)
        for each in grads:
            steps[name], state = optimizer.update(each, state, params)
    np.testing.assert_allclose(steps["muon"]["bias"], steps["adam"]["bias"], rtol=1e-6)
    first, second = (np.asarray(each["kernel"], np.float32) for each in grads)
    momentum = 0.95 * first + second  # Nesterov's looks a step ahead
    (expected,) = orthogonal([jnp.asarray(0.95 * momentum + second)])
    np.testing.assert_allclose(steps["muon"]["kernel"], -0.01 * expected, rtol=1e-4, atol=1e-6)


def test_decay_takes_off_matrices_alone():
    params = {"kernel": jnp.ones((4, 8)), "bias": jnp.ones(8)}
    optimizer = Hyper.of(OptimizerConfig(name="muon", learning_rate=0.5, weight_decay=0.1), 10).descent()
    zeros = jax.tree.map(jnp.zeros_like, params)
    steps: Any = optimizer.update(zeros, optimizer.init(params), params)[0]
    np.testing.assert_allclose(steps["kernel"], -0.05, rtol=1e-6)
    np.testing.assert_array_equal(steps["bias"], 0)


def test_another_name_is_refused():
    with pytest.raises(InputError, match="name"):
        OptimizerConfig(name="lion")  # pyright: ignore[reportArgumentType]
