"""How far each face goes, chosen by judges: in the world of test_edits, where all is known, and by the command."""

from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from jvae.errors import InputError
from jvae.evaluate.edits import FACTORS, judge_edits
from jvae.evaluate.strength import SHARP, Prospects, foresee
from jvae.latent.kinds import Kind
from tests.test_edits import NAMES, world
from tests.test_kinds import vectors
from tests.test_learned import MIXED, MODEL, a_judge


def test_each_face_takes_what_is_worth_most_at_each_price():
    prospects = Prospects(
        seen=np.array([[0.1, 0.6, 0.9], [0.0, 0.2, 0.3], [0.5, 0.5, 0.5]]),
        turned=np.array([[0.0, 0.02, 0.1], [0.0, 0.1, 0.3], [0.0, 0.0, 0.0]]),
    )
    np.testing.assert_array_equal(prospects.choose([0, 3, 10, 100]), [[2, 2, 1, 0], [2, 0, 0, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize("away", [False, True])
def test_prospects_by_hand(away):
    z, _ = world(37)
    step, factors = np.array([0.5, 0, 2.0]), np.array([0, -0.5, 1.0])
    judges = [a_judge(), a_judge(2.0)]
    found = foresee(MODEL, judges, "Eyeglasses", step, factors, z, away=away)
    shown = (z[:, None] + factors[:, None] * step) @ MIXED  # [n,f,3], by NAMES
    chance = np.mean([expit(SHARP * scale * (shown - 1)) for scale in (1, 2)], axis=0)
    np.testing.assert_allclose(found.seen, 1 - chance[..., 1] if away else chance[..., 1], atol=2e-3)
    each = [expit(SHARP * scale * (shown - 1)) for scale in (1, 2)]
    turned = np.mean([np.abs(said - said[:, :1])[..., [0, 2]].mean(-1) for said in each], axis=0)
    np.testing.assert_allclose(found.turned, turned, atol=2e-3)


def test_what_is_judged_is_what_is_painted():
    z, _ = world(8)
    grey = np.full((len(z), 48, 16, 3), 128, np.uint8)  # of which a judge reads .2 in each patch
    found = foresee(MODEL, [a_judge()], "Smiling", np.array([0, 0, 1.0]), [0, 2.0], z, grey)
    shown = 0.2 + np.array([0, 2.0])[:, None] * MIXED[2]
    np.testing.assert_allclose(found.seen, np.tile(expit(SHARP * (shown[:, 2] - 1)), (len(z), 1)), atol=2e-3)


def test_each_by_its_own_factor_gives_more_for_less_than_all_by_one():
    z, attrs = world()
    known = vectors(Kind(), z, attrs, names=NAMES)  # drags men along with glasses
    how: Any = {"edited": ["Eyeglasses"], "faces": 400}
    alike = judge_edits(MODEL, known, a_judge(), z, attrs, **how)["Eyeglasses"]
    prices = np.geomspace(1000, 0.1, 40)
    own = judge_edits(MODEL, known, a_judge(), z, attrs, choosers=[a_judge(2.0)], prices=prices, **how)["Eyeglasses"]
    assert own.faces == alike.faces and len(own.hits) == len(own.leakage) == len(own.drift) == len(own.ssim) == 40
    assert own.hits[0] < 0.05 and own.leakage[0] == 0  # hardly anything is worth that
    assert (np.diff(own.hits) >= 0).all() and own.hits[-1] == 1
    for most in (0.05, 0.1, 0.2):
        assert own.hits_at(most) > alike.hits_at(most) + 0.1
    bold = judge_edits(MODEL, known, a_judge(), z, attrs, choosers=[a_judge(2.0)], prices=[0], **how)["Eyeglasses"]
    assert bold.hits[0] == 1 and bold.leakage[0] > 0.05 and bold.hits_at(0.05) == 0
    with pytest.raises(InputError, match="finds its own choice good: score by another one"):
        judge_edits(MODEL, known, a_judge(), z, attrs, choosers=[a_judge(2.0), a_judge()], **how)


def test_bad_input():
    z, _ = world(8)
    step = np.ones(3)
    with pytest.raises(InputError, match="no judge to choose by"):
        foresee(MODEL, [], "Smiling", step, FACTORS, z)
    alone = a_judge(names=("Smiling", "Young", "Bald"))
    with pytest.raises(
        InputError, match="the judges share no attribute but Smiling, so that no change has a price: give"
    ):
        foresee(MODEL, [a_judge(), alone], "Smiling", step, FACTORS, z)
    with pytest.raises(InputError, match="judge of images of 32 pixels cannot choose for a model of images of 64"):
        foresee(MODEL, [a_judge(size=32)], "Smiling", step, FACTORS, z)
