"""Reconstruction error, KL divergence and the ELBO: pure functions, one value per example.

With D pixel values an image, Gaussian pixel noise of standard deviation σ gives
−log p(x|z) = Σ(x−x̂)²/(2σ²) + D/2·log(2πσ²) (Kingma & Welling 2014, appendix C.2).
Minimising `r·mean(x−x̂)² + KL` is the same with r = D/(2σ²), and so is `½·Σ(x−x̂)² + β·KL` with β = σ² (Rybkin et al.
2021, "Simple and effective VAE training with calibrated decoders").
"""

import math
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

Values = TypeVar("Values", jax.Array, np.ndarray, float)


class LossWeights(NamedTuple):
    """The one weight between reconstruction and KL, in its three forms."""

    r_loss_factor: float
    beta: float
    sigma: float


def loss_weights(
    pixels: int, *, r_loss_factor: float | None = None, beta: float | None = None, sigma: float | None = None
) -> LossWeights:
    """The three forms of the weight that exactly one argument gives, for images of `pixels` values (D = 3·h·w)."""
    if r_loss_factor is not None:
        variance = pixels / (2 * r_loss_factor)
    elif beta is not None:
        variance = beta
    else:
        assert sigma is not None
        variance = sigma**2
    return LossWeights(pixels / (2 * variance), variance, math.sqrt(variance))


def squared_error(x: jax.Array, recon: jax.Array) -> jax.Array:
    """Mean over pixels and channels of the squared error.

    Args:
      x: images [b,h,w,c] in [0, 1].
      recon: reconstructions [b,h,w,c] in [0, 1].

    Returns:
      [b] float32.
    """
    if x.shape != recon.shape:
        raise ValueError(f"images {x.shape} and reconstructions {recon.shape} must have one shape")
    return jnp.mean(jnp.square(x.astype(jnp.float32) - recon.astype(jnp.float32)), axis=(1, 2, 3))


def kl_divergence(mean: jax.Array, logvar: jax.Array) -> jax.Array:
    """KL(N(mean, exp(logvar)) ‖ N(0, 1)) in nats, summed over z; see `kl_per_dimension`: [b,d], [b,d] -> [b]."""
    return jnp.sum(kl_per_dimension(mean, logvar), axis=-1)


def kl_per_dimension(mean: jax.Array, logvar: jax.Array) -> jax.Array:
    """KL(N(mean, exp(logvar)) ‖ N(0, 1)) of each dimension, in nats (Kingma & Welling 2014, appendix B).

    Args:
      mean: [b,d] float32.
      logvar: [b,d] float32, the log of the variance; where it is −∞ the latent is a point, which counts as 0.

    Returns:
      [b,d] float32.
    """
    if mean.shape != logvar.shape:
        raise ValueError(f"mean {mean.shape} and logvar {logvar.shape} must have one shape")
    point = jnp.isneginf(logvar)
    logvar = jnp.where(point, 0, logvar)
    return 0.5 * jnp.where(point, 0, jnp.exp(logvar) + jnp.square(mean) - 1 - logvar)


def gaussian_nats(x: jax.Array, recon: jax.Array, logvar: jax.Array) -> jax.Array:
    """−log N(x; recon, exp(logvar)), in nats an image, summed over pixels and channels.

    Args:
      x: images [b,h,w,c] in [0, 1].
      recon: their means, of the same shape.
      logvar: of the pixels, of a shape that broadcasts to it.

    Returns:
      [b] float32.
    """
    logvar = jnp.broadcast_to(logvar, x.shape).astype(jnp.float32)
    each = jnp.square(x - recon) * jnp.exp(-logvar) + logvar + math.log(2 * math.pi)
    return 0.5 * jnp.sum(each, axis=(1, 2, 3))


def negative_elbo(error: Values, kl: Values, *, pixels: int, sigma: float) -> Values:
    """The negative evidence lower bound on log p(x), x in [0, 1], in nats per image.

    Args:
      error: mean squared error per pixel value, [b] or a number.
      kl: nats, likewise.
      pixels: D = h·w·c.
      sigma: standard deviation of the pixel noise.

    Returns:
      As `error`; a density, so it may be negative.
    """
    return pixels * (error / (2 * sigma**2) + 0.5 * math.log(2 * math.pi * sigma**2)) + kl


def bits_per_dim(nats: Values, pixels: int) -> Values:
    """Bits per pixel value of 8-bit images from `negative_elbo`, each value a bin of width 1/255.

    The density is taken at the bin's centre, without dequantisation noise: close for σ well above 1/255.
    """
    return nats / (pixels * math.log(2)) + math.log2(255)
