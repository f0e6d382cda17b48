import jax.numpy as jnp
import numpy as np
import pytest

from jvae.errors import InputError
from jvae.render.grid import join_grid, render_grid, split_grid, to_uint8

H, W = 4, 6


def decode_fn(variables, z):
    """A tile that ramps in x and y, in colours of its latent."""
    ramp = jnp.arange(H)[:, None] * 8.0 + jnp.arange(W)[None, :]
    picture = ramp[None, :, :, None] + z[:, None, None, :3] * variables
    return picture / 255


def latents(r, c, d=5):
    return np.arange(r * c * d, dtype=np.float32).reshape(r, c, d)


def test_to_uint8_rounds_and_clips():
    x = jnp.array([-1, 0, 0.4 / 255, 0.6 / 255, 127.4 / 255, 127.6 / 255, 1, 1.01, 7, jnp.inf])
    np.testing.assert_array_equal(to_uint8(x), [0, 0, 0, 1, 127, 128, 255, 255, 255, 255])
    assert to_uint8(x).dtype == jnp.uint8


def test_tiles_lie_where_their_latents_do():
    z = latents(3, 4)
    picture = render_grid(decode_fn, 2.0, z)
    assert picture.shape == (3 * H, 4 * W, 3) and picture.dtype == np.uint8
    for i in range(3):
        for j in range(4):
            tile = np.asarray(decode_fn(2.0, z[i, j][None]))[0]
            expected = np.clip(np.round(tile * 255), 0, 255).astype(np.uint8)
            np.testing.assert_array_equal(picture[i * H : (i + 1) * H, j * W : (j + 1) * W], expected)


def test_originals_stand_at_the_sides():
    rng = np.random.default_rng(0)
    left, right = (rng.integers(0, 256, (3, H, W, 3), dtype=np.uint8) for _ in range(2))
    z = latents(3, 2)
    tiles = split_grid(render_grid(decode_fn, 1.0, z, left=left, right=right), 3, 4)
    np.testing.assert_array_equal(tiles[:, 0], left)
    np.testing.assert_array_equal(tiles[:, 3], right)
    np.testing.assert_array_equal(tiles[:, 1:3], split_grid(render_grid(decode_fn, 1.0, z), 3, 2))
    only_left = split_grid(render_grid(decode_fn, 1.0, z, left=left), 3, 3)
    np.testing.assert_array_equal(only_left, tiles[:, :3])


def test_one_decoder_call_compiled_once(traced_once, compiles):
    seen = []

    def decode(variables, z):
        seen.append(z.shape)
        return decode_fn(variables, z)

    decode = traced_once(decode)
    first = render_grid(decode, 1.0, latents(3, 4))
    with compiles(at_most=0):
        second = render_grid(decode, 2.0, latents(3, 4) + 1)
    assert seen == [(12, 5)]
    assert not np.array_equal(first, second)


def test_split_and_join():
    tiles = np.random.default_rng(0).integers(0, 256, (2, 5, H, W, 3), dtype=np.uint8)
    picture = join_grid(tiles)
    assert picture.shape == (2 * H, 5 * W, 3)
    np.testing.assert_array_equal(picture[H:, W : 2 * W], tiles[1, 1])
    np.testing.assert_array_equal(split_grid(picture, 2, 5), tiles)


def test_bad_input():
    with pytest.raises(InputError, match=r"rows, columns, d.*not \(4, 5\)"):
        render_grid(decode_fn, 1.0, latents(1, 4)[0])
    with pytest.raises(InputError, match="none of them 0"):
        render_grid(decode_fn, 1.0, latents(2, 0))
    with pytest.raises(InputError, match=r"left must be uint8 \[2,h,w,3\]"):
        render_grid(decode_fn, 1.0, latents(2, 2), left=np.zeros((3, H, W, 3), np.uint8))
    with pytest.raises(InputError, match="not float64"):
        render_grid(decode_fn, 1.0, latents(2, 2), right=np.zeros((2, H, W, 3)))
