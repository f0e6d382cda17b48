import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score

from jvae.errors import InputError
from jvae.evaluate.projections import score_vectors
from jvae.judge.ranking import balanced_accuracy, best_threshold
from jvae.latent.kinds import Kind
from tests.test_kinds import NAMES, data, vectors


def test_scores_by_definition():
    (z, attrs), (other_z, other_attrs) = data(1500, 1), data(1500, 2)
    known = vectors(Kind("lda"))
    found = score_vectors(known, z, attrs, other_z, other_attrs)
    assert set(found.table.index) == set(found.curves) == set(NAMES)
    assert list(found.table["auc"]) == sorted(found.table["auc"], reverse=True)
    for i, name in enumerate(NAMES):
        row, along, has = found.table.loc[name], z @ known[name].unit, attrs[:, i]
        said = along >= row["threshold"]
        np.testing.assert_allclose(row["auc"], roc_auc_score(has, along))
        np.testing.assert_allclose(row["accuracy"], accuracy_score(has, said))
        np.testing.assert_allclose(row["balanced"], balanced_accuracy_score(has, said))
        np.testing.assert_allclose([row["share"], row["majority"]], [has.mean(), max(has.mean(), 1 - has.mean())])
        assert row["n"] == 1500
        curve = found.curves[name]
        np.testing.assert_allclose(np.trapezoid(curve.true_positives, curve.false_positives), row["auc"], atol=1e-9)
        other = other_z @ known[name].unit
        tried = [balanced_accuracy(other >= t, other_attrs[:, i]) for t in np.append(other, np.inf)]
        reached = balanced_accuracy(other >= row["threshold"], other_attrs[:, i])
        np.testing.assert_allclose(reached, max(tried))


@pytest.mark.parametrize(
    ("scores", "has", "threshold"),
    [
        ([1.0, 2, 3, 4], [0, 0, 1, 1], 2.5),
        ([1.0, 2, 3, 4], [1, 1, 1, 0], 1.0),  # the best that can be had: all of them
        ([4.0, 1, 1, 1], [1, 0, 0, 0], 2.5),
    ],
)
def test_thresholds(scores, has, threshold):
    found = best_threshold(np.array(scores), np.array(has, bool))
    if has[-1] or not has[1]:
        assert found == threshold
    assert balanced_accuracy(np.array(scores) >= found, np.array(has, bool)) >= 0.5


def test_a_useless_score_is_not_worse_than_guessing():
    scores, has = np.array([3.0, 2, 1]), np.array([False, True, True])
    assert balanced_accuracy(scores >= best_threshold(scores, has), has) == 0.5


def test_what_cannot_be_scored():
    z, attrs = data(300)
    known = vectors(Kind())
    one_sided = attrs.copy()
    one_sided[:, 1] = True
    found = score_vectors(known, z, one_sided, z, attrs)
    assert found.missing == {"Young": "a split has it on one side only"}
    assert "Young" not in found.table.index
    with pytest.raises(InputError, match=r"labels must be \[n,4\]"):
        score_vectors(known, z, attrs[:, :3], z, attrs)
    with pytest.raises(InputError, match="0 of 3 rows have the label"):
        best_threshold(np.arange(3.0), np.zeros(3, bool))
