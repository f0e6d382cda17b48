"""Latents and attribute vectors in; how well the position along each vector tells its attribute, out."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from jvae.errors import InputError
from jvae.judge.ranking import balanced_accuracy, best_threshold, roc_auc
from jvae.latent.vectors import AttributeVectors


class Curve(NamedTuple):
    """A ROC curve: both rates rise from 0 to 1 as the threshold falls."""

    false_positives: np.ndarray  # [k] share of those without the attribute who score at or above a threshold
    true_positives: np.ndarray  # [k] of those with it
    area: float


class Projections(NamedTuple):
    """What `score` finds.

    Attributes:
      table: a row an attribute, the best told first. Columns: n (faces scored), share (of them that have it), auc (area
        under the ROC curve), threshold (latent units along the vector, the best on the other split), accuracy, majority
        (accuracy of always saying what most are), balanced (mean of the accuracies with and without it; guessing: .5).
      curves: attribute -> its ROC curve.
      missing: attribute -> why it is not scored.
    """

    table: pd.DataFrame
    curves: Mapping[str, Curve]
    missing: Mapping[str, str]


def score_vectors(
    vectors: AttributeVectors,
    z: np.ndarray,
    attrs: np.ndarray,
    other_z: np.ndarray,
    other_attrs: np.ndarray,
) -> Projections:
    """Scores every vector by where the latents lie along it.

    Args:
      vectors: of a attributes.
      z: [n,d], latents of the faces to score.
      attrs: [n,a] bool, their labels, in the order of `vectors.attribute_names`.
      other_z: [m,d], latents of other faces, on which the thresholds are found.
      other_attrs: [m,a] bool.

    Raises:
      InputError: the labels do not fit the vectors.
    """
    a = len(vectors.attribute_names)
    if attrs.shape != (len(z), a) or other_attrs.shape != (len(other_z), a):
        raise InputError(f"labels must be [n,{a}] for n latents, not {attrs.shape} and {other_attrs.shape}")
    rows, curves, missing = {}, {}, dict(vectors.missing)
    for i, name in enumerate(vectors.attribute_names):
        if name not in vectors:
            continue
        has, other_has = attrs[:, i], other_attrs[:, i]
        if not (0 < has.sum() < len(has) and 0 < other_has.sum() < len(other_has)):
            missing[name] = "a split has it on one side only"
            continue
        along, other_along = (latents @ vectors[name].unit for latents in (z, other_z))
        threshold = best_threshold(other_along, other_has)
        said, share = along >= threshold, float(has.mean())
        rows[name] = {
            "n": len(has),
            "share": share,
            "auc": roc_auc(along, has),
            "threshold": threshold,
            "accuracy": float((said == has).mean()),
            "majority": max(share, 1 - share),
            "balanced": balanced_accuracy(said, has),
        }
        false, true, _ = roc_curve(has, along)
        curves[name] = Curve(false, true, rows[name]["auc"])
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("attribute")
    return Projections(table.sort_values("auc", ascending=False) if rows else table, curves, missing)
