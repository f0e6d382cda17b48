"""Sums of latents in; each attribute's own effect, with labels or readouts of others held fixed, out. On the host."""

import numpy as np

from jvae.latent.statistics import Totals

RANK = 1e-9  # an eigenvalue of the labels' correlations is not zero above it
EQUAL = 1e-6  # readouts that differ by less, for their length, are one
BOUND = 1e-7  # nor is an entry of the projection that belongs to those that are zero


def regression(sums: Totals, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ordinary least squares of the latents on all labels, with an intercept.

    Where labels determine one another (Female is who is not Male; of three hair colours everybody has one), there is no
    effect of one with the others held fixed. Each of them then has its effect when only what lies outside of their
    group is held fixed: the direction that they share, at its length and with its sign.

    Args:
      sums: of d latents and a labels.
      squares: [d], of the latents about their mean, summed over the rows.

    Returns:
      effects [a,d] and their standard errors [a,d], NaN for a label that all rows have or none; and [a,a] bool, which
      others each label is bound to.
    """
    used, a = np.flatnonzero((sums.counts > 0) & (sums.counts < sums.n)), len(sums.counts)
    vectors, errors = np.full((2, a, len(sums.z)), np.nan)
    bound = np.zeros((a, a), bool)
    if len(used):
        vectors[used], errors[used], bound[np.ix_(used, used)] = _least_squares(sums, squares, used)
    for i in np.flatnonzero(bound.any(1)):
        columns = used[~bound[i, used]]
        found = _least_squares(sums, squares, columns)
        at = np.searchsorted(columns, i)
        vectors[i], errors[i] = found[0][at], found[1][at]
    return vectors, errors, bound


def _least_squares(sums: Totals, squares: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `regression`, of the columns `used` [u] alone.

    The labels' correlations are ratios of whole numbers, so that their spectrum tells zero from little: two columns
    that differ in one of n rows leave an eigenvalue of about 1/n, and equal ones leave rounding, 1e-15.
    """
    n, counts = sums.n, sums.counts[used]
    gram = (n * sums.pairs[np.ix_(used, used)] - np.outer(counts, counts)) / n  # [u,u] of centred labels
    cross = sums.attr_z[used] - np.outer(counts / n, sums.z)  # [u,d]
    scale = np.sqrt(np.diagonal(gram))
    values, basis = np.linalg.eigh(gram / np.outer(scale, scale))
    there = values > RANK
    inverse = (basis[:, there] / values[there]) @ basis[:, there].T / np.outer(scale, scale)
    beta = inverse @ cross
    freedom = n - there.sum() - 1
    residual = np.maximum(squares - (beta * cross).sum(0), 0)
    variance = residual / freedom if freedom > 0 else np.full(len(residual), np.nan)
    errors = np.sqrt(np.outer(np.diagonal(inverse), variance))
    constant = basis[:, ~there] @ basis[:, ~there].T  # projects onto the weights that add labels up to a constant
    bound = np.abs(constant) > BOUND
    for _ in used:  # to those, too, that the others are bound to
        bound = bound | bound @ bound
    np.fill_diagonal(bound, False)
    return beta, errors, bound


def still(readouts: np.ndarray, differences: np.ndarray) -> np.ndarray:
    """[d,d], what takes out of a direction all that moves k readouts, at the least change under the covariance.

    A readout is wᵀz with w = Σ⁻¹δ, the "lda" direction of a difference of means δ. Along v' all of them stand still
    where Wᵀv' = 0, W [d,k]. Of such v' the nearest to v in the norm xᵀΣ⁻¹x, how far an edit takes a face out of the
    data, is v - ΣW(WᵀΣW)⁻¹Wᵀv (Lagrange multipliers: Σ⁻¹(v - v') = Wλ), and ΣW is Δ, the differences. The other form,
    v - W(WᵀΣW)⁻¹WᵀΣv, makes the reading vᵀz uncorrelated with the kept ones: that is for telling, not for edits.

    Args:
      readouts: W [k,d], of any lengths.
      differences: Δ [k,d].
    """
    lengths = np.linalg.norm(readouts, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    w, delta = readouts / lengths, differences / lengths  # w @ delta.T has 1 on its diagonal
    inverse = np.linalg.pinv(w @ delta.T, rcond=EQUAL)  # of equal directions one counts
    return np.eye(w.shape[1]) - delta.T @ inverse @ w
