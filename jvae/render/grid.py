"""Latents [r,c,d] in; one picture out, by one decoder call, tiled on the device."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jvae.errors import InputError


def to_uint8(x: jax.Array) -> jax.Array:
    """Images in [0,1], of any shape, to uint8, rounded; what lies outside is clipped."""
    return jnp.round(jnp.clip(x, 0, 1) * 255).astype(jnp.uint8)


def render_grid(
    decode_fn: Callable[[Any, jax.Array], jax.Array],
    variables: Any,
    latents: np.ndarray | jax.Array,
    *,
    left: np.ndarray | None = None,
    right: np.ndarray | None = None,
) -> np.ndarray:
    """Decodes a grid of latents into one picture. Compiled once for each shape.

    Args:
      decode_fn: pure: variables, latents [b,d] -> float32 [b,h,w,3] in [0,1].
      variables: of the decoder.
      latents: [r,c,d] float32.
      left: uint8 [r,h,w,3], shown before the first column as it is: the originals.
      right: uint8 [r,h,w,3], likewise after the last.

    Returns:
      uint8 [r*h, c*w, 3]; c counts `left` and `right` too.

    Raises:
      InputError: `latents` is not [r,c,d], or `left` or `right` do not fit it.
    """
    if latents.ndim != 3 or not latents.size:
        raise InputError(f"latents must be [rows, columns, d], none of them 0, not {latents.shape}")
    for name, side in (("left", left), ("right", right)):
        if side is not None and (side.ndim != 4 or len(side) != len(latents) or side.dtype != np.uint8):
            raise InputError(f"{name} must be uint8 [{len(latents)},h,w,3], not {side.dtype} {side.shape}")
    return np.asarray(_render(variables, latents, left, right, decode_fn=decode_fn))


@functools.partial(jax.jit, static_argnames="decode_fn")
def _render(variables: Any, latents: jax.Array, left: Any, right: Any, *, decode_fn: Callable) -> jax.Array:
    r, c, d = latents.shape
    tiles = to_uint8(decode_fn(variables, latents.reshape(r * c, d)))  # [r*c,h,w,3]
    tiles = tiles.reshape(r, c, *tiles.shape[1:])
    columns = [left[:, None]] if left is not None else []
    columns += [tiles] + ([right[:, None]] if right is not None else [])
    tiles = jnp.concatenate(columns, axis=1)  # [r,c,h,w,3]
    r, c, h, w, _ = tiles.shape
    return tiles.swapaxes(1, 2).reshape(r * h, c * w, 3)


def split_grid(picture: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The tiles [r,c,h,w,3] of a picture [r*h, c*w, 3]."""
    height, width, channels = picture.shape
    return picture.reshape(rows, height // rows, columns, width // columns, channels).swapaxes(1, 2)


def join_grid(tiles: np.ndarray) -> np.ndarray:
    """One picture [r*h, c*w, 3] of tiles [r,c,h,w,3], on the host."""
    r, c, h, w, channels = tiles.shape
    return tiles.swapaxes(1, 2).reshape(r * h, c * w, channels)
