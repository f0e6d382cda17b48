"""Images in; the same images moved, blurred and lit a little differently, out. Pure functions for inside of jit.

Every change of place here is separable: one matrix along the rows, one along the columns, of each image its own. So
mirroring, moving, scaling and blurring are two matrix products in all.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

MIRRORED = 0.5  # share of the images
SHIFT = 1 / 20  # of the image's size, either way
ZOOM = 0.1  # e^±0.1 at most
BLURRED = 0.7  # share of the images
BLUR = 2.5 / 64  # standard deviation at most, of the image's size
BRIGHTNESS = 0.1  # of the whole range, either way
CONTRAST = 0.2  # e^±0.2 at most
COLOUR = 0.06  # of each channel by itself, e^±0.06 at most
JITTERED = 0.75  # share of the images that `jittered` changes
WHOLE_SHIFT = 32  # they move by a 32nd of their size at most, either way
DIMMED = 0.5  # of the lighting above


def blur_matrix(sigma: jax.Array, size: int) -> jax.Array:
    """What a blur does along one axis: weights of the pixels in each blurred pixel.

    The discrete analogue of the Gaussian (Lindeberg 1990, equation 36) on an axis that is mirrored at its ends: the
    weights are not negative, have the variance sigma², and rows and columns sum to 1, so that sums stay as they are.

    Args:
      sigma: [b], standard deviations in pixels.
      size: s, of the axis.

    Returns:
      [b,s,s] float32, symmetric.
    """
    k, i = np.arange(size)[:, None], np.arange(size)[None]
    basis = np.cos(np.pi * k * (2 * i + 1) / (2 * size)) * math.sqrt(2 / size)  # the cosine transform, [k,i]
    basis[0] /= math.sqrt(2)
    waves = jnp.asarray(basis, jnp.float32)
    fall = jnp.asarray(1 - np.cos(np.pi * np.arange(size) / size), jnp.float32)
    left = jnp.exp(-jnp.square(sigma)[:, None] * fall[None])  # [b,k], of each wave
    return jnp.einsum("ki,bkj->bij", waves, left[:, :, None] * waves[None])


def place_matrix(shift: jax.Array, zoom: jax.Array, mirrored: jax.Array, size: int) -> jax.Array:
    """What moving, scaling about the middle and mirroring do along one axis, linear between pixels.

    Args:
      shift: [b], in pixels.
      zoom: [b], above 1 enlarges.
      mirrored: [b] bool.
      size: s, of the axis; beyond its ends lies the last pixel.

    Returns:
      [b,s,s] float32; rows sum to 1.
    """
    middle, pixels = (size - 1) / 2, jnp.arange(size, dtype=jnp.float32)
    direction = jnp.where(mirrored, -1.0, 1.0) / zoom
    from_middle = (pixels[None] - middle) * direction[:, None] - shift[:, None]  # [b,s]
    position = jnp.clip(from_middle + middle, 0, size - 1)
    return jnp.maximum(1 - jnp.abs(position[:, :, None] - pixels[None, None]), 0)


def resample(x: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Images [b,h,w,c] by a matrix [b,h,h] along their rows and one [b,w,w] along their columns."""
    x = jnp.einsum("bij,bjwc->biwc", rows, x)
    return jnp.einsum("bij,bhjc->bhic", columns, x)


def blur(x: jax.Array, sigma: jax.Array) -> jax.Array:
    """Images [b,h,w,c] blurred by a Gaussian of standard deviation sigma [b], in pixels."""
    return resample(x, blur_matrix(sigma, x.shape[1]), blur_matrix(sigma, x.shape[2]))


def augment(key: jax.Array, x: jax.Array) -> jax.Array:
    """Images [b,h,w,3] float32 in [0, 1], each mirrored, moved, scaled, blurred and lit by chance.

    Args:
      key: consumed.
      x: the images.

    Returns:
      As x.
    """
    b, h, w, _ = x.shape
    u = jax.random.uniform(key, (11, b))  # [·,b] in [0, 1)
    even = 2 * u - 1
    sigma = jnp.where(u[0] < BLURRED, u[1] * BLUR * h, 0)
    zoom, upright = jnp.exp(even[2] * ZOOM), jnp.zeros((b,), bool)
    rows = blur_matrix(sigma, h) @ place_matrix(even[3] * SHIFT * h, zoom, upright, h)
    columns = blur_matrix(sigma, w) @ place_matrix(even[4] * SHIFT * w, zoom, u[5] < MIRRORED, w)
    x = resample(x, rows, columns)
    return _lit(x, even[6:])


def jittered(key: jax.Array, x: jax.Array) -> jax.Array:
    """Images as a generative model may learn from: most of them moved by whole pixels and lit a little differently.

    Nothing is blurred or scaled, which would be learned.

    Args:
      key: consumed.
      x: float32 [b,h,w,3] in [0, 1].

    Returns:
      As x.
    """
    b, h, w, _ = x.shape
    u = jax.random.uniform(key, (8, b))  # [·,b] in [0, 1)

    def moving(u: jax.Array, size: int) -> jax.Array:
        most = size // WHOLE_SHIFT
        return place_matrix(jnp.floor(u * (2 * most + 1)) - most, jnp.ones((b,)), jnp.zeros((b,), bool), size)

    changed = _lit(resample(x, moving(u[0], h), moving(u[1], w)), DIMMED * (2 * u[3:] - 1))
    return jnp.where((u[2] < JITTERED).reshape(-1, 1, 1, 1), changed, x)


def _lit(x: jax.Array, how: jax.Array) -> jax.Array:
    """Images of other contrast, brightness and colours, by `how` [5,b] in [-1, 1]; within [0, 1]."""
    mean = jnp.mean(x, (1, 2, 3), keepdims=True)
    contrast = jnp.exp(how[0] * CONTRAST).reshape(-1, 1, 1, 1)
    bright = (how[1] * BRIGHTNESS).reshape(-1, 1, 1, 1)
    colour = jnp.exp(how[2:].T * COLOUR).reshape(-1, 1, 1, 3)
    return jnp.clip(((x - mean) * contrast + mean + bright) * colour, 0, 1)
