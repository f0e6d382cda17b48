import functools

import jax.numpy as jnp
import numpy as np

from jvae.render.tiles import decode_tiles, to_uint8

H, W = 4, 6


def decode_fn(variables, z):
    """A tile that ramps in x and y, in colours of its latent."""
    ramp = jnp.arange(H)[:, None] * 8.0 + jnp.arange(W)[None, :]
    return (ramp[None, :, :, None] + z[:, None, None, :3] * variables) / 255


def latents(r, c, d=5):
    return np.arange(r * c * d, dtype=np.float32).reshape(r, c, d)


def test_to_uint8_rounds_and_clips():
    x = jnp.array([-1, 0, 0.4 / 255, 0.6 / 255, 127.4 / 255, 127.6 / 255, 1, 1.01, 7, jnp.inf])
    np.testing.assert_array_equal(to_uint8(x), [0, 0, 0, 1, 127, 128, 255, 255, 255, 255])
    assert to_uint8(x).dtype == jnp.uint8


def test_tiles_lie_where_their_latents_do():
    z = latents(3, 4)
    tiles = np.asarray(decode_tiles(2.0, z, decode_fn=decode_fn))
    assert tiles.shape == (3, 4, H, W, 3) and tiles.dtype == np.uint8
    for i, j in np.ndindex(3, 4):
        expected = np.clip(np.round(np.asarray(decode_fn(2.0, z[i, j][None]))[0] * 255), 0, 255)
        np.testing.assert_array_equal(tiles[i, j], expected)


def test_one_decoder_call_compiled_once(traced_once, compiles):
    seen = []

    def decode(variables, z):
        seen.append(z.shape)
        return decode_fn(variables, z)

    decode = functools.partial(decode_tiles, decode_fn=traced_once(decode))
    first = np.asarray(decode(1.0, latents(3, 4)))
    with compiles(at_most=0):
        second = np.asarray(decode(2.0, latents(3, 4) + 1))
    assert seen == [(12, 5)]
    assert not np.array_equal(first, second)
