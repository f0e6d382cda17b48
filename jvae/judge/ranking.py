"""How well a score tells two classes apart, and the threshold that does it best."""

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import roc_curve

from jvae.errors import InputError


def roc_auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a row with the label scores above one without; ties count half.

    Args:
      scores: [n].
      labels: [n] bool.

    Returns:
      In [0, 1]; 0.5 is chance. By ranks (Mann and Whitney 1947), exact.

    Raises:
      InputError: one of the classes has no row.
    """
    with_label, n = int(np.sum(labels)), len(labels)
    if not 0 < with_label < n:
        raise InputError(f"{with_label} of {n} rows have the label: an area under the ROC curve needs both classes")
    ranks = rankdata(scores)
    return float((ranks[labels].sum() - with_label * (with_label + 1) / 2) / (with_label * (n - with_label)))


def balanced_accuracy(said: np.ndarray, has: np.ndarray) -> float:
    """Mean of the share of `has` [n] that `said` [n] says, and of the share of the others that it does not."""
    return float((said[has].mean() + (~said[~has]).mean()) / 2)


def best_threshold(scores: np.ndarray, has: np.ndarray) -> float:
    """The threshold, scores [n] at or above it being called positive, that has the highest balanced accuracy.

    It lies halfway to the next score below, so that it cuts between the scores there are.

    Raises:
      InputError: one of the classes has no row.
    """
    if not 0 < has.sum() < len(has):
        raise InputError(f"{int(has.sum())} of {len(has)} rows have the label: a threshold needs both classes")
    false, true, thresholds = roc_curve(has, scores, drop_intermediate=False)
    best = int(np.argmax(true - false))
    if best == 0:  # above all of them
        return float(np.nextafter(scores.max(), np.inf))
    below = scores[scores < thresholds[best]]
    return float((thresholds[best] + below.max()) / 2) if len(below) else float(thresholds[best])
