import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jvae.models import conv
from jvae.runtime.mesh import along_data, make_mesh
from tests.gradients import value_and_gradients

SHAPES = [(2, 8, 8, 3, 5), (1, 2, 2, 1, 1), (3, 6, 10, 7, 4), (5, 16, 4, 32, 3), (2, 4, 4, 64, 64)]


def plain_down(x, w):
    return lax.conv_general_dilated(x, w, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def plain_up(y, w):
    # Keras' Conv2DTranspose: the gradient of the strided convolution
    return lax.conv_transpose(y, w, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), transpose_kernel=True)


def arrays(b, h, width, c, o, dtype=jnp.float32):
    rng = np.random.default_rng(0)
    shapes = (b, h, width, c), (3, 3, c, o), (b, h // 2, width // 2, o)
    return [jnp.asarray(rng.standard_normal(shape, np.float32), dtype) for shape in shapes]


def close(actual, expected, rtol=2e-5):
    actual, expected = np.asarray(actual, np.float32), np.asarray(expected, np.float32)
    np.testing.assert_allclose(actual, expected, atol=rtol * np.abs(expected).max())


@pytest.mark.parametrize("shape", SHAPES)
def test_down_and_its_gradients(shape):
    x, w, y = arrays(*shape)
    pairs = zip(value_and_gradients(conv.down, x, w, y), value_and_gradients(plain_down, x, w, y), strict=True)
    for ours, theirs in pairs:
        close(ours, theirs)


@pytest.mark.parametrize("shape", SHAPES)
def test_up_and_its_gradients(shape):
    x, w, y = arrays(*shape)
    pairs = zip(value_and_gradients(conv.up, y, w, x), value_and_gradients(plain_up, y, w, x), strict=True)
    for ours, theirs in pairs:
        close(ours, theirs)


def plain_same(x, w):
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def same_arrays(b, h, width, c, o, dtype=jnp.float32):
    x, w, _ = arrays(b, h, width, c, o, dtype)
    y = jnp.asarray(np.random.default_rng(1).standard_normal((b, h, width, o), np.float32), dtype)
    return x, w, y


@pytest.mark.parametrize("shape", [*SHAPES, (9, 5, 3, 2, 4)])
def test_same_and_its_gradients(shape):
    x, w, y = same_arrays(*shape)
    pairs = zip(value_and_gradients(conv.same, x, w, y), value_and_gradients(plain_same, x, w, y), strict=True)
    for ours, theirs in pairs:
        close(ours, theirs)


@pytest.mark.parametrize("b", [1, 8, 16, 19])
def test_kernel_gradients_of_a_few_images_sum_to_the_whole(b, monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 1)  # with more, a batch is one block
    x, _, y = same_arrays(b, 5, 3, 2, 4)
    close(jax.jit(conv._correlate_same_blocks)(x, y), jax.jit(conv._correlate_same_lax)(x, y))


def test_same_in_bfloat16_sums_in_float32():
    x, w, y = same_arrays(40, 8, 8, 8, 8, jnp.bfloat16)
    exact = value_and_gradients(plain_same, *(v.astype(jnp.float32) for v in (x, w, y)))
    for ours, theirs in zip(value_and_gradients(conv.same, x, w, y), exact, strict=True):
        assert ours.dtype == jnp.bfloat16
        close(ours, theirs, rtol=0.01)


def test_same_of_a_batch_that_is_split_over_devices():
    x, w, y = same_arrays(6, 4, 4, 3, 5)
    split = jax.device_put((x, y), along_data(make_mesh()))
    ours = value_and_gradients(conv.same, split[0], w, split[1])
    for one, other in zip(ours, value_and_gradients(plain_same, x, w, y), strict=True):
        close(one, other)


@pytest.mark.parametrize("b", [1, 3, 6, 8])
def test_groups_of_images_sum_to_the_whole(b, monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 1)  # with more, a batch is not grouped
    x, _, y = arrays(b, 6, 4, 3, 5)
    for form in (conv._correlate_product, conv._correlate_taps):
        close(jax.jit(form)(x, y), jax.jit(conv._correlate_lax)(x, y))


@pytest.mark.parametrize("shape", SHAPES[1:4])
def test_every_lowering_is_the_same_function(shape):
    # the forms of other platforms and versions run on this one too
    x, w, y = arrays(*shape)
    close(jax.jit(conv._down_product)(x, w), jax.jit(conv._down_lax)(x, w))
    close(jax.jit(conv._up_product)(y, w), jax.jit(conv._up_lax)(y, w))
    for correlate in (conv._correlate_product, conv._correlate_taps):
        close(jax.jit(correlate)(x, y), jax.jit(conv._correlate_lax)(x, y))


def test_bfloat16_stays_bfloat16():
    x, w, y = arrays(2, 8, 8, 3, 4, jnp.bfloat16)
    small, *gradients = value_and_gradients(conv.down, x, w, y)
    assert small.dtype == jnp.bfloat16 and {g.dtype for g in gradients} == {jnp.dtype(jnp.bfloat16)}
    close(small, jax.jit(plain_down)(x.astype(jnp.float32), w.astype(jnp.float32)), rtol=0.02)


def test_second_use_in_a_loop_agrees():
    # XLA lowers the body of a loop on its own; the result must not depend on it
    x, w, _ = arrays(2, 8, 8, 3, 4)

    def gradient(w):
        return jax.grad(lambda w: jnp.sum(conv.up(jnp.square(conv.down(x, w)), w)))(w)

    def twice(w):
        return lax.fori_loop(0, 2, lambda _, w: w - 1e-3 * gradient(w), w)

    step = jax.jit(lambda w: w - 1e-3 * gradient(w))
    close(jax.jit(twice)(w), step(step(w)))


@pytest.mark.parametrize(("c", "o"), [(1, 1), (5, 3), (3, 5)])
def test_same_of_few_channels_is_same(c, o):
    x, w, y = same_arrays(3, 6, 10, c, o)

    def by_fours(x, w):
        return conv.depth_to_space(conv.same_of_few(conv.space_to_depth(x, 2), w), 2)

    pairs = zip(value_and_gradients(by_fours, x, w, y), value_and_gradients(plain_same, x, w, y), strict=True)
    for ours, theirs in pairs:
        close(ours, theirs)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_depth_and_space(k):
    x = jnp.arange(2 * 8 * 4 * 3).reshape(2, 8, 4, 3)
    deep = conv.space_to_depth(x, k)
    assert deep.shape == (2, 8 // k, 4 // k, 3 * k * k)
    np.testing.assert_array_equal(deep[1, 0, 0], x[1, :k, :k].reshape(-1))
    np.testing.assert_array_equal(conv.depth_to_space(deep, k), x)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_interpolation_is_that_of_jax(k):
    x = same_arrays(2, 5, 3, 4, 4)[0]
    close(conv.interpolate(x, k), jax.image.resize(x, (2, 5 * k, 3 * k, 4), "linear"))
