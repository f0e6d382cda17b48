"""Faces, their latents and shifted ones in; the faces with only the change painted out, by one decoder call."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jvae.errors import InputError
from jvae.models.model import to_float
from jvae.render.tiles import to_uint8


def render_residual(
    decode_fn: Callable[[Any, jax.Array], jax.Array],
    variables: Any,
    images: np.ndarray,
    z: np.ndarray | jax.Array,
    latents: np.ndarray | jax.Array,
) -> np.ndarray:
    """What the decoder changes from `z` to `latents`, added to the images: x + D(latents) - D(z).

    What the autoencoder blurs stays as it is in x. Compiled once for each shape.

    Args:
      decode_fn: pure: variables, latents [b,d] -> float32 [b,h,w,3] in [0,1].
      variables: of the decoder.
      images: uint8 [n,h,w,3].
      z: [n,d] float32, of the images.
      latents: [n,f,d] float32. One that equals its image's z gives the image, bit for bit.

    Returns:
      uint8 [n,f,h,w,3].

    Raises:
      InputError: shapes that do not fit, or images that are not uint8.
    """
    _check(z, latents)
    if images.ndim != 4 or len(images) != len(z) or images.dtype != np.uint8:
        raise InputError(f"images must be uint8 [{len(z)},h,w,3], not {images.dtype} {images.shape}")
    return np.asarray(painted(variables, images, z, latents, decode_fn=decode_fn))


def changes(
    decode_fn: Callable[[Any, jax.Array], jax.Array],
    variables: Any,
    z: np.ndarray | jax.Array,
    latents: np.ndarray | jax.Array,
) -> np.ndarray:
    """D(latents) - D(z), to be painted elsewhere: float32 [n,f,h,w,3] in [-1,1].

    Args:
      decode_fn: as in `render_residual`.
      variables: of the decoder.
      z: [n,d] float32.
      latents: [n,f,d] float32; 0 throughout where one equals its z.

    Raises:
      InputError: shapes that do not fit.
    """
    _check(z, latents)
    return np.asarray(_changes(variables, z, latents, decode_fn=decode_fn))


def painter(
    decode_fn: Callable[[Any, jax.Array], jax.Array], variables: Any, z: jax.Array, images: jax.Array | None
) -> Callable[[jax.Array], jax.Array]:
    """What makes pictures [n,h,w,3] in [0,1] of latents [n,d], to be called within jit.

    Args:
      decode_fn: as in `render_residual`.
      variables: of the decoder.
      z: [n,d] float32, of the images.
      images: uint8 [n,h,w,3], onto which the change from z is painted; None makes pictures of what is decoded alone.
    """
    if images is None:
        return functools.partial(decode_fn, variables)
    unpainted = to_float(images) - decode_fn(variables, z)
    return lambda latents: jnp.clip(decode_fn(variables, latents) + unpainted, 0, 1)


def _check(z: np.ndarray | jax.Array, latents: np.ndarray | jax.Array) -> None:
    if latents.ndim != 3 or not latents.size:
        raise InputError(f"latents must be [n, factors, d], none of them 0, not {latents.shape}")
    n, _, d = latents.shape
    if z.shape != (n, d):
        raise InputError(f"z must be [{n},{d}] as the latents are {latents.shape}, not {z.shape}")


@functools.partial(jax.jit, static_argnames="decode_fn")
def _changes(variables: Any, z: jax.Array, latents: jax.Array, *, decode_fn: Callable) -> jax.Array:
    n, f, d = latents.shape
    points = jnp.concatenate([z[:, None], latents], axis=1)  # [n,1+f,d]
    pictures = decode_fn(variables, points.reshape(-1, d))
    pictures = pictures.reshape(n, 1 + f, *pictures.shape[1:])
    same = (latents == z[:, None]).all(-1)  # one latent need not decode alike to the bit in two rows of a batch
    return jnp.where(same[:, :, None, None, None], 0, pictures[:, 1:] - pictures[:, :1])


@functools.partial(jax.jit, static_argnames="decode_fn")
def painted(variables: Any, images: jax.Array, z: jax.Array, latents: jax.Array, *, decode_fn: Callable) -> jax.Array:
    """What `render_residual` gives, with the same arguments, on the devices and unchecked."""
    x = images[:, None].astype(jnp.float32) / 255
    return to_uint8(x + _changes(variables, z, latents, decode_fn=decode_fn))
