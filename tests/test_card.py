import dataclasses

import numpy as np
import pandas as pd
import pytest

from jvae.evaluate.card import Scorecard
from jvae.evaluate.edits import FACTORS, Edit
from jvae.evaluate.identity import Identity, Kept
from jvae.latent.kinds import Kind

FEW = len(FACTORS)
OWN = pd.DataFrame({"accuracy": {"a": 0.8}, "balanced": {"a": 0.7}, "auc": {"a": 0.9}})


def edit(reach, leak):
    """Hits that grow to `reach` at the last factor, leakage to `leak`."""
    ramp = np.linspace(0, 1, FEW)
    return Edit(9, reach * ramp, np.outer(leak * ramp, [1, 1]), leak * ramp, 3 * leak * ramp, 2 * ramp, 1 - ramp)


@pytest.fixture
def card():
    edits = {
        Kind(): {"a": edit(1, 0.5), "b": edit(1, 0.1), "c": edit(0.5, 0)},
        Kind("lda"): {"a": edit(1, 0.05), "b": edit(0.8, 0.05)},
    }
    scores = {"n": 5.0, "error": 0.01, "sampled_error": 0.02, "kl": 30.0, "bits_per_dim": 8.0, "psnr": 20.0}
    return Scorecard(
        edits,
        ["a", "b", "c"],
        OWN,
        scores,
        0.7,
        0.95,
        {"the judge": {"the prior": 3.0}},
        {},
        1.0,
    )


def test_kinds_are_compared_over_what_all_could_edit(card):
    assert card.shared() == ["a", "b"]
    shown = card.summary()
    assert list(shown["attributes"]) == [2, 2]
    # difference: a leaks 5 % at a tenth of the way, b half way; lda: both all the way
    steps = np.linspace(0, 1, FEW)
    by_hand = [(steps[steps <= 0.1].max() + steps[steps <= 0.5].max()) / 2, (1 + 0.8) / 2]
    np.testing.assert_allclose(shown["hits at 5%"], by_hand)
    np.testing.assert_allclose(shown["reached"], [1, 0.5])
    np.testing.assert_allclose(shown["leakage at 90%"], [0.45, 0.045])  # of a alone, which both reach
    first = int(np.flatnonzero(steps >= 0.9)[0])
    np.testing.assert_allclose(shown["factor"], FACTORS[first])
    np.testing.assert_allclose(shown["ssim"], 1 - steps[first])
    np.testing.assert_allclose(shown["drift"], [1.5 * steps[first], 0.15 * steps[first]])
    assert card.best_attributes(1) == ["a"]


def test_where_no_attribute_is_edited_by_all_the_best_are_those_of_some(card):
    card.edits[Kind("regression")] = {"c": edit(1, 0)}
    assert card.shared() == [] and card.best_attributes(3) == ["a", "c", "b"]


def test_a_kind_by_itself(card):
    table = card.table(Kind())
    assert list(table.index) == ["a", "b", "c"]
    assert np.isnan(table.loc["c", "leakage at 90%"]) and table.loc["c", "most hits"] == 0.5


def test_as_json_has_no_numbers_that_are_none(card):
    plain = card.as_json()
    assert plain["edits"]["difference"]["a"]["hits"][-1] == 1.0
    assert plain["frechet"]["the judge"] == {"the prior": 3.0}

    def leaves(value):
        if isinstance(value, dict):
            return [leaf for item in value.values() for leaf in leaves(item)]
        return [leaf for item in value for leaf in leaves(item)] if isinstance(value, list) else [value]

    assert {type(leaf) for leaf in leaves(plain)} <= {int, float, str, type(None)}
    assert all(np.isfinite(leaf) for leaf in leaves(plain) if isinstance(leaf, float))


def test_lines_on_the_rest(card):
    judge, reconstruction, samples = card.lines()
    assert judge.startswith("judge: 3 of 1 attributes judged; over all of them accuracy 0.800, balanced 0.700")
    assert reconstruction.endswith(
        "squared error 0.01000, PSNR 20.00 dB, SSIM 0.700, 8.000 bits/dim, judged as the photographs 0.950"
    )
    assert samples == "Fréchet distance in the features of the judge: the prior 3.00"


def test_who_they_are(card):
    edits = {Kind(): {"a": Kept(9, 2.0, 0.5, 0.25), "c": Kept(9, 2.0, 0.5, 0)}, Kind("lda"): {}}
    whole = dataclasses.replace(card, identity=Identity("the judge's features", 600, 0.125, 0.0625, 31.5, edits))
    assert whole.lines()[2] == (
        "identity by the judge's features, among 600 photographs: same person 0.125 (nearer to their own than 99 % of "
        "strangers are), the right one nearest 0.062, median rank 31.5"
    )
    np.testing.assert_array_equal(whole.summary()["same"], [0.25, np.nan])  # c is not shared
    assert list(whole.table(Kind()).loc["a", ["same", "same before", "same factor"]]) == [0.25, 0.5, 2]
    assert whole.as_json()["identity"]["edits"]["difference"]["a"] == {
        "faces": 9, "factor": 2.0, "before": 0.5, "after": 0.25
    }  # fmt: skip
    assert "same" not in card.summary() and card.as_json()["identity"] is None


def test_a_curve_is_the_mean_over_what_all_kinds_could_edit(card):
    leakage, hits = card.curve(Kind())
    assert leakage[-1] == pytest.approx((0.5 + 0.1) / 2) and hits[-1] == 1
