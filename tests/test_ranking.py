import numpy as np
import pytest

from jvae.errors import InputError
from jvae.judge.ranking import roc_auc


def test_it_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 20, 200).astype(float), rng.random(200) < 0.3
    above = scores[labels][:, None] - scores[~labels][None]
    assert roc_auc(scores, labels) == pytest.approx(((above > 0) + 0.5 * (above == 0)).mean())


def test_ends_of_the_scale():
    labels = np.array([False, False, True, True])
    assert roc_auc(np.arange(4.0), labels) == 1
    assert roc_auc(-np.arange(4.0), labels) == 0
    assert roc_auc(np.zeros(4), labels) == 0.5


@pytest.mark.parametrize("labels", [np.zeros(3, bool), np.ones(3, bool)])
def test_one_class_has_no_area(labels):
    with pytest.raises(InputError, match="of 3 rows have the label"):
        roc_auc(np.arange(3.0), labels)
