import jax.numpy as jnp
import numpy as np
import pytest

from jvae.errors import InputError
from jvae.render.residual import changes, render_residual

N, F, D, H, W = 3, 4, 5, 4, 6


def decode_fn(weights, z):
    """Pictures that are a smooth function of the latent, in [0,1]."""
    return 0.5 + 0.5 * jnp.sin(z @ weights).reshape(-1, H, W, 3)


def some(seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (N, H, W, 3), dtype=np.uint8)
    z, latents = rng.normal(size=(N, D)).astype(np.float32), rng.normal(size=(N, F, D)).astype(np.float32)
    return rng.normal(size=(D, H * W * 3)).astype(np.float32), images, z, latents


def test_the_image_with_the_change():
    weights, images, z, latents = some()
    found = render_residual(decode_fn, weights, images, z, latents)
    assert found.shape == (N, F, H, W, 3) and found.dtype == np.uint8
    clipped = 0
    for i in range(N):
        for j in range(F):
            before, after = (0.5 + 0.5 * np.sin(x.astype(float) @ weights) for x in (z[i], latents[i, j]))
            exact = images[i] + 255 * (after - before).reshape(H, W, 3)
            assert np.abs(found[i, j] - np.clip(exact, 0, 255)).max() < 0.51  # rounded, not cut
            clipped += int(((exact < 0) | (exact > 255)).sum())
    assert clipped > 50  # and what lies outside of [0,1] was met


def test_no_shift_is_the_image_bit_for_bit():
    def of_rows(weights, z):  # a batch whose rows differ in rounding, and much more
        return decode_fn(weights, z) + jnp.arange(len(z))[:, None, None, None] / 10

    weights, images, z, latents = some()
    latents[:, 2] = z
    found = render_residual(of_rows, weights, images, z, latents)
    np.testing.assert_array_equal(found[:, 2], images)
    assert (found[:, 1] != images).mean() > 0.9
    assert not changes(of_rows, weights, z, latents)[:, 2].any()


def test_every_value_of_a_pixel_is_kept():
    weights, _, z, latents = some()
    images = np.resize(np.arange(256, dtype=np.uint8), (4, H, W, 3))
    z, latents = np.zeros((4, D), np.float32), np.zeros((4, 1, D), np.float32)
    np.testing.assert_array_equal(render_residual(decode_fn, weights, images, z, latents)[:, 0], images)


def test_changes():
    weights, _, z, latents = some()
    found = changes(decode_fn, weights, z, latents)
    assert found.shape == (N, F, H, W, 3) and found.dtype == np.float32
    expected = np.asarray(decode_fn(weights, latents[1])) - np.asarray(decode_fn(weights, z[1:2]))
    np.testing.assert_allclose(found[1], expected, atol=1e-5)


def test_one_decoder_call_compiled_once(traced_once, compiles):
    seen = []

    def decode(weights, z):
        seen.append(z.shape)
        return decode_fn(weights, z)

    decode = traced_once(decode)
    weights, images, z, latents = some()
    render_residual(decode, weights, images, z, latents)
    with compiles(at_most=0):
        render_residual(decode, weights, images[::-1], z + 1, latents)
    assert seen == [(N * (F + 1), D)]


def test_bad_input():
    weights, images, z, latents = some()
    with pytest.raises(InputError, match=r"latents must be \[n, factors, d\]"):
        render_residual(decode_fn, weights, images, z, latents[0])
    with pytest.raises(InputError, match="none of them 0"):
        changes(decode_fn, weights, z, latents[:, :0])
    with pytest.raises(InputError, match=r"z must be \[3,5\]"):
        changes(decode_fn, weights, z[:2], latents)
    with pytest.raises(InputError, match=r"images must be uint8 \[3,h,w,3\]"):
        render_residual(decode_fn, weights, images[:2], z, latents)
    with pytest.raises(InputError, match="not float32"):
        render_residual(decode_fn, weights, images.astype(np.float32), z, latents)
