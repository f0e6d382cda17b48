"""Attribute vectors in; how they lie to each other, and how their labels go together, out."""

import numpy as np
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from jvae.errors import InputError
from jvae.latent.statistics import Totals
from jvae.latent.vectors import AttributeVectors


def cosines(vectors: AttributeVectors) -> np.ndarray:
    """[v,v], the cosine between every two of the vectors, in the order of `vectors.names`."""
    units = np.stack([vectors[name].unit for name in vectors]) if len(vectors) else np.zeros((0, 1))
    return np.clip(units @ units.T, -1, 1)


def correlations(sums: Totals) -> np.ndarray:
    """[a,a], the correlation between every two labels (φ, Pearson's of yes and no); NaN where a label never varies."""
    share = sums.counts / sums.n
    covariance = sums.pairs / sums.n - np.outer(share, share)
    deviation = np.sqrt(share * (1 - share))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.clip(covariance / np.outer(deviation, deviation), -1, 1)


def order(similarity: np.ndarray) -> np.ndarray:
    """An order [v] in which what is similar [v,v] lies together: the leaves of an average-linkage tree, best turned.

    Bar-Joseph et al. (2001), "Fast optimal leaf ordering for hierarchical clustering".

    Raises:
      InputError: a similarity is not a finite number.
    """
    if not np.isfinite(similarity).all():
        raise InputError("there is no order of similarities that are not finite")
    if len(similarity) < 3:
        return np.arange(len(similarity))
    distance = 1 - (similarity + similarity.T) / 2
    np.fill_diagonal(distance, 0)
    condensed = squareform(np.maximum(distance, 0), checks=False)
    return hierarchy.leaves_list(hierarchy.optimal_leaf_ordering(hierarchy.average(condensed), condensed))
