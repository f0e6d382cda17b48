"""Pictures or features in; how alike they are, out."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import linalg

from jvae.errors import InputError

WINDOW, SIGMA = 11, 1.5  # pixels
_K1, _K2 = 0.01, 0.03
_LUMA = (0.299, 0.587, 0.114)


def ssim(x: jax.Array | np.ndarray, y: jax.Array | np.ndarray) -> jax.Array:
    """Structural similarity of images' brightness, 1 where they are equal: [...,h,w,3] twice, in [0,1] -> [...].

    Wang et al. (2004), "Image Quality Assessment: From Error Visibility to Structural Similarity": Gaussian windows of
    11x11 and σ = 1.5, those that lie whole in the image, averaged. At least 11 pixels a side.
    """
    rgb = jnp.asarray(_LUMA)
    gray_x, gray_y = (jnp.einsum("...c,c->...", image, rgb) for image in (x, y))
    products = (gray_x, gray_y, gray_x * gray_x, gray_y * gray_y, gray_x * gray_y)
    mean_x, mean_y, xx, yy, xy = map(_blur, products)
    c1, c2 = _K1**2, _K2**2
    covariance, variances = xy - mean_x * mean_y, xx - mean_x**2 + yy - mean_y**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return (luminance * (2 * covariance + c2) / (variances + c2)).mean((-2, -1))


def _blur(x: jax.Array) -> jax.Array:
    """[...,h,w] -> [...,h-10,w-10], weighted by the window: two matrix products, which every platform is fast at."""
    h, w = x.shape[-2:]
    return jnp.einsum("ih,...hw,jw->...ij", _band(h), x, _band(w), precision=jax.lax.Precision.HIGHEST)


def _band(size: int) -> np.ndarray:
    """[size-10,size], a row a position of the one-dimensional window."""
    weights = np.exp(-0.5 * ((np.arange(WINDOW) - WINDOW // 2) / SIGMA) ** 2)
    rows = np.zeros((size - WINDOW + 1, size), np.float32)
    for i, row in enumerate(rows):
        row[i : i + WINDOW] = weights / weights.sum()
    return rows


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """The Fréchet distance of two normal distributions fitted to features: |m₁-m₂|² + tr(C₁ + C₂ - 2·(C₁C₂)^½).

    Heusel et al. (2017), "GANs Trained by a Two Time-Scale Update Rule". It depends on the features and, for few rows,
    on their number: compare only what was measured alike.

    Args:
      first: [n,k].
      second: [m,k].

    Raises:
      InputError: fewer than two rows, or other features.
    """
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1] or min(len(first), len(second)) < 2:
        raise InputError(f"features must be [n,k] and [m,k], n and m at least 2, not {first.shape} and {second.shape}")
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    one, two = (np.cov(x, rowvar=False).reshape(x.shape[1], -1) for x in (first, second))
    # The eigenvalues of C₁C₂ are those of the symmetric C₁^½·C₂·C₁^½, whose root is exact where C₁C₂ is near singular.
    values, basis = linalg.eigh(one)
    root = (basis * np.sqrt(np.maximum(values, 0))) @ basis.T
    middle = np.sqrt(np.maximum(linalg.eigvalsh(root @ two @ root), 0)).sum()
    return float(((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(one) + np.trace(two) - 2 * middle)
