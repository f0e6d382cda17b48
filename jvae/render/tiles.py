"""Latents in; their pictures, tile by tile, out: one decoder call, compiled once for each shape."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jvae.models.model import in_blocks


def to_uint8(x: jax.Array | np.ndarray) -> jax.Array:
    """Images in [0,1], of any shape, to uint8, rounded; what lies outside is clipped."""
    return jnp.round(jnp.clip(x, 0, 1) * 255).astype(jnp.uint8)


@functools.partial(jax.jit, static_argnames="decode_fn")
def decode_tiles(variables: Any, latents: Any, *, decode_fn: Callable[[Any, jax.Array], jax.Array]) -> jax.Array:
    """Decodes latents of any leading axes in one call.

    Args:
      variables: of the decoder.
      latents: [...,d] float32.
      decode_fn: pure: variables, latents [b,d] -> float32 [b,h,w,3] in [0,1].

    Returns:
      uint8 [...,h,w,3].
    """

    def decode(variables: Any, z: jax.Array) -> jax.Array:
        return to_uint8(decode_fn(variables, z))  # of a block's own pictures, so that no float of all is ever written

    tiles = in_blocks(decode, variables, latents.reshape(-1, latents.shape[-1]))  # [b,h,w,3]
    return tiles.reshape(*latents.shape[:-1], *tiles.shape[1:])
