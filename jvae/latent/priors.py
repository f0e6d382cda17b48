"""Sums of latents or latents in; distributions that new latents are drawn from, out."""

import math
import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from jvae.config import check_seed
from jvae.data.packed import PackedStore
from jvae.data.source import spread
from jvae.errors import InputError, InputWarning
from jvae.latent.kinds import scatter
from jvae.latent.statistics import Totals

ROUNDS = 100  # of the fit of a mixture, at most
COMPONENTS = 10
MOST = 10_000  # faces to which a mixture is fitted, from all over the split


class Prior(NamedTuple):
    """A mixture of k normal distributions of latents; the standard normal is one of them.

    Attributes:
      weights: [k], they sum to 1.
      means: [k,d].
      roots: [k,d,d], L of each covariance L·Lᵀ.
    """

    weights: np.ndarray
    means: np.ndarray
    roots: np.ndarray

    def sample(self, n: int, *, temperature: float = 1.0, seed: int = 0) -> np.ndarray:
        """Latents [n,d] float32; below a temperature of 1 they keep closer to their component's mean.

        Raises:
          InputError: see `check_draw`.
        """
        check_draw(temperature, seed)
        rng = np.random.default_rng(seed)
        of = rng.choice(len(self.weights), n, p=self.weights)
        noise = rng.normal(size=(n, self.means.shape[1]))
        return (self.means[of] + temperature * np.einsum("nde,ne->nd", self.roots[of], noise)).astype(np.float32)


def check_draw(temperature: float, seed: int) -> None:
    """Raises InputError unless the temperature is finite and not negative, and the seed one, see `check_seed`."""
    if not 0 <= temperature < math.inf:
        raise InputError(f"temperature={temperature} must be a finite number of at least 0")
    check_seed(seed)


def standard_normal(d: int) -> Prior:
    """The prior that the VAE was trained towards, N(0, I) in d dimensions."""
    return Prior(np.ones(1), np.zeros((1, d)), np.eye(d)[None])


def aggregate(sums: Totals) -> Prior:
    """The normal distribution with the mean and the covariance of all latents that were summed.

    Raises:
      InputError: of fewer than two.
    """
    if sums.n < 2:
        raise InputError(f"{sums.n} latents have no covariance: take statistics of more images")
    return Prior(np.ones(1), (sums.z / sums.n)[None], _root(scatter(sums) / (sums.n - 1))[None])


def nearest_normal(sums: Totals | None, d: int) -> Prior:
    """`aggregate` of sums of more than d latents; without them the prior, which latents were trained to be like."""
    return standard_normal(d) if sums is None or sums.n <= d else aggregate(sums)


def mixture_of_faces(model: Any, store: PackedStore, components: int = COMPONENTS, *, seed: int = 0) -> Prior:
    """`mixture` fitted to the latents of up to `MOST` faces of a store's training split, by a `TrainedModel`."""
    return mixture(model.encode(store.read(spread(store.indices("train"), MOST))), components, seed=seed)


def mixture(z: np.ndarray, components: int = COMPONENTS, *, seed: int = 0) -> Prior:
    """A mixture of normal distributions fitted to latents [n,d] by expectation maximisation (scikit-learn's).

    Raises:
      InputError: fewer latents than components, or no component; or see `check_seed`.
    """
    check_seed(seed)
    if not 1 <= components <= len(z):
        raise InputError(f"components={components} must be at least 1 and at most the number of latents, {len(z):,}")
    found: Any = GaussianMixture(components, reg_covar=1e-4, max_iter=ROUNDS, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found.fit(np.asarray(z, np.float64))
    if not found.converged_:
        warnings.warn(
            f"the mixture was still changing after {ROUNDS} rounds: fewer components settle sooner",
            InputWarning,
            stacklevel=2,
        )
    roots = np.stack([_root(covariance) for covariance in found.covariances_])
    return Prior(found.weights_ / found.weights_.sum(), found.means_, roots)


def _root(covariance: np.ndarray) -> np.ndarray:
    """[d,d] L with L·Lᵀ the covariance, which may have eigenvalues of 0 that rounding took below."""
    values, basis = np.linalg.eigh(covariance)
    return basis * np.sqrt(np.maximum(values, 0))
