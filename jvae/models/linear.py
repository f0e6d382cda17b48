"""The linear VAE, and its optimum in closed form: probabilistic PCA, without a gradient step.

With p(x|z) = N(Wz + μ, σ²·1) and q(z|x) = N(V(x − μ), diag) the ELBO is greatest where W spans the principal
components (Tipping and Bishop 1999, "Probabilistic Principal Component Analysis", equation 7; that the variational
optimum is the same, Lucas et al. 2019, "Don't Blame the ELBO!", section 4). The eigenvectors are found by a randomised
range finder with power iterations (Halko, Martinsson and Tropp 2011, algorithms 4.4 and 5.3).
"""

import math
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh

from jvae.config import ModelConfig
from jvae.models.loss import loss_weights
from jvae.models.model import Posterior, Variables, to_float
from jvae.runtime.mesh import put, put_rows, replicated, to_host

BATCH = 512  # images whose sums are float32; batches are added up in float64
SPARE = 32  # directions beyond the latents', which make the others converge
MOST_PASSES = 12
SETTLED = 0.01  # nats by which one more pass lowers the objective, and no less
RANK = 1e-12  # of the largest square of a direction; below, it is rounding
DENSE = 4  # sketches of a share of all pixel values so large that the whole covariance takes less time


@dataclass(frozen=True, kw_only=True)
class Linear(ModelConfig):
    """Settings of the linear model.

    Attributes:
      latent_dim: length of z, at most; directions that vary less than the pixel noise remain unused.
    """

    closed_form: ClassVar[bool] = True
    latent_dim: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_at_least(1, "latent_dim")

    def module(self, dtype: Any = jnp.float32) -> "LinearVAE":
        """The network."""
        return LinearVAE(self, dtype)

    def solve(self, images: Any, rows: Any, mesh: Mesh, *, r_loss_factor: float) -> Variables:
        """The optimum for the training images, in a few passes over them; deterministic.

        Args:
          images: uint8 [n,h,w,3], a memory map or an array that decodes its rows when asked for them.
          rows: int [m], those to learn from.
          mesh: the devices; batches are split over them.
          r_loss_factor: weight of the squared error beside the KL.
        """
        pixels = 3 * self.image_size**2
        noise = loss_weights(pixels, r_loss_factor=r_loss_factor).sigma ** 2
        mean, values, vectors = principal(images, np.asarray(rows), mesh, count=self.latent_dim, noise=noise)
        return {"params": optimum(mean, values, vectors, latent_dim=self.latent_dim, noise=noise)}


class LinearVAE(nn.Module):
    """A matrix there, a matrix back, and one variance a latent for all images.

    Its parameters are `mean` [n], `encoder` [n,d], `decoder` [d,n] and `logvar` [d], n pixel values an image.
    """

    cfg: Linear
    dtype: Any = jnp.float32

    def setup(self) -> None:
        """Declares the parameters; what they begin as matters only where they are trained by gradient steps."""
        n, d = 3 * self.cfg.image_size**2, self.cfg.latent_dim
        init = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
        self.mean = self.param("mean", nn.initializers.constant(0.5), (n,))
        self.encoder = self.param("encoder", init, (n, d))
        self.decoder = self.param("decoder", nn.initializers.normal(0.1 / math.sqrt(d)), (d, n))
        self.logvar = self.param("logvar", nn.initializers.zeros, (d,))

    def encode(self, x: jax.Array, train: bool = False) -> Posterior:
        """Images [b,h,w,3] in [0, 1] to their posterior [b,d]: mean V(x − μ), and one variance for all."""
        centred = x.reshape(x.shape[0], -1) - self.mean.reshape(1, -1)
        mean = product(centred, self.encoder, self.dtype)
        return Posterior(mean, jnp.broadcast_to(self.logvar.reshape(1, -1), mean.shape))

    def decode(self, z: jax.Array, train: bool = False) -> jax.Array:
        """Latents [b,d] to images [b,h,w,3]: Wz + μ, clipped to [0, 1].

        Images lie in [0, 1], so clipping takes no value further from its image: the squared error cannot grow.
        """
        side = self.cfg.image_size
        x = product(z, self.decoder, self.dtype) + self.mean.reshape(1, -1)
        return jnp.clip(x, 0, 1).reshape(-1, side, side, 3)


def product(x: jax.Array, matrix: jax.Array, dtype: Any) -> jax.Array:
    """X [b,n] times a matrix [n,k], the work in `dtype` and the sums float32."""
    return jnp.matmul(x.astype(dtype), matrix.astype(dtype), preferred_element_type=jnp.float32)


def optimum(
    mean: np.ndarray, values: np.ndarray, vectors: np.ndarray, *, latent_dim: int, noise: float
) -> dict[str, np.ndarray]:
    """The parameters at the optimum.

    For an eigenvalue λ > σ²: W = u(λ − σ²)^½, and since M = WᵀW + σ²·1 is diagonal, V = Wᵀ/λ and the posterior's
    variance is σ²/λ. Other latents have the prior as their posterior, and columns of zeros.

    Args:
      mean: [n], of the images.
      values: [k], the covariance's largest eigenvalues λ, falling.
      vectors: [n,k], its eigenvectors u.
      latent_dim: d, at least k.
      noise: σ², the pixels' variance.
    """
    k = len(values)
    used = values > noise
    kept = np.where(used, values, noise)
    scale = np.sqrt(kept - noise)  # 0 of those unused
    decoder, encoder = np.zeros((latent_dim, len(mean))), np.zeros((len(mean), latent_dim))
    decoder[:k], encoder[:, :k] = scale[:, None] * vectors.T, scale / kept * vectors
    logvar = np.zeros(latent_dim)
    logvar[:k] = np.log(noise / kept)
    found = {"mean": mean, "encoder": encoder, "decoder": decoder, "logvar": logvar}
    return {name: array.astype(np.float32) for name, array in found.items()}


def expected_objective(values: np.ndarray, variance: float, noise: float) -> float:
    """The objective at the optimum, in nats an image: squared error / 2σ² + KL, over the images it was found from.

    A used direction leaves an error of σ² and costs ½ log(λ/σ²) nats; the others leave all their variance.

    Args:
      values: [k], the covariance's largest eigenvalues.
      variance: its trace.
      noise: σ².
    """
    used = values[values > noise]
    error = variance - used.sum() + noise * len(used)
    return float(error / (2 * noise) + 0.5 * np.log(used / noise).sum())


def principal(
    images: Any, rows: np.ndarray, mesh: Mesh, *, count: int, noise: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean [n], and the largest eigenvalues [k] and eigenvectors [n,k] of the covariance of images, float64.

    Each pass multiplies a basis by the covariance; passes end when one more would not change the objective. Of small
    images the basis is that of all pixel values, and one pass is exact.

    Args:
      images: uint8 [n,h,w,3].
      rows: int [m], those to take.
      mesh: the devices.
      count: k, unless there are fewer pixel values.
      noise: σ²; eigenvalues below it do not count for the objective.
    """
    pixels = math.prod(images.shape[1:])
    width = count + SPARE
    whole = pixels <= DENSE * width
    basis = np.eye(pixels) if whole else orthonormal(np.random.default_rng(0).standard_normal((pixels, width)))
    mean, last = np.full(pixels, 0.5), math.inf
    values, vectors = np.zeros(0), np.zeros((pixels, 0))
    for _ in range(1 if whole else MOST_PASSES):
        mean, product, variance = covariance_product(images, rows, mesh, basis, mean)
        inner = basis.T @ product
        found, turn = np.linalg.eigh((inner + inner.T) / 2)  # rising
        top = np.arange(len(found))[::-1][:count]
        values, vectors = np.maximum(found[top], 0), basis @ turn[:, top]
        objective = expected_objective(values, variance, noise)
        if last - objective < SETTLED:
            break
        last, basis = objective, orthonormal(product)
    largest = np.abs(vectors).argmax(0)
    return mean, values, vectors * np.sign(vectors[largest, np.arange(len(values))])  # of two signs one


def orthonormal(y: np.ndarray) -> np.ndarray:
    """An orthonormal basis [n,k'] of the columns of y [n,k], k' their rank, float64.

    By eigenvectors of yᵀy, twice, whose work is matrix products: where other processes share the cores, LAPACK's QR of
    12288x160 takes up to 4 s, and this .1 s.
    """
    for _ in range(2):
        squares, turn = np.linalg.eigh(y.T @ y)
        kept = squares > RANK * squares.max(initial=0)
        y = y @ (turn[:, kept] / np.sqrt(squares[kept]))
    return y


def covariance_product(
    images: Any, rows: np.ndarray, mesh: Mesh, basis: np.ndarray, centre: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """One pass: the mean [n] of images, their covariance times `basis` [n,k], and its trace; float64.

    Args:
      images: uint8 [n,h,w,3].
      rows: int [m], those to take.
      mesh: the devices.
      basis: [n,k].
      centre: [n], near the mean: what is summed in float32 is small then.
    """
    size = -(-min(BATCH, len(rows)) // mesh.size) * mesh.size
    fixed = put((basis.astype(np.float32), centre.astype(np.float32)), replicated(mesh))
    sums: list[Any] = [0.0, 0.0, 0.0]
    waiting: deque[_Sums] = deque()

    def add(found: "_Sums") -> None:
        for i, value in enumerate(to_host(found)):
            sums[i] = sums[i] + np.asarray(value, np.float64)

    for start in range(0, len(rows), size):
        own = rows[start : start + size]
        count = put(np.int32(len(own)), replicated(mesh))
        waiting.append(_batch_sums(put_rows(images, own, size, mesh), count, *fixed, mesh=mesh))
        if len(waiting) > 2:  # the devices work while the next images are read
            add(waiting.popleft())
    for found in waiting:
        add(found)
    shift, product, square = (value / len(rows) for value in sums)
    centre32, basis32 = (np.asarray(value, np.float64) for value in to_host((fixed[1], fixed[0])))
    product = product - np.outer(shift, shift @ basis32)
    return centre32 + shift, product, float(square - shift @ shift)


class _Sums(NamedTuple):
    """Over the images of a batch, each less the centre."""

    x: jax.Array  # [n]
    product: jax.Array  # [n,k], of x·xᵀ and the basis
    square: jax.Array  # [], of squares


@partial(jax.jit, static_argnames="mesh")
def _batch_sums(images: jax.Array, count: jax.Array, basis: jax.Array, centre: jax.Array, *, mesh: Mesh) -> _Sums:
    """The sums over the first `count` images of a batch."""
    counts = (jnp.arange(images.shape[0]) < count).reshape(-1, 1)
    x = to_float(images).reshape(images.shape[0], -1) - centre.reshape(1, -1)
    x = jnp.where(counts, x, 0)  # [b,n]
    product = partial(jnp.matmul, precision=lax.Precision.HIGHEST)  # no tf32, no bfloat16
    found = _Sums(x.sum(0), product(x.T, product(x, basis)), jnp.sum(x * x))
    return lax.with_sharding_constraint(found, replicated(mesh))
