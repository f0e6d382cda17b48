"""How well a score tells two classes apart."""

import numpy as np
from scipy.stats import rankdata

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
