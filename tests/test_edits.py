"""Edits of a world in which all is known: a latent gives three patches their brightness, and the judge reads them."""

from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jvae.errors import InputError
from jvae.evaluate.edits import FACTORS, Edit, judge_edits, leak_matrix
from jvae.latent.kinds import Kind
from jvae.runtime.mesh import make_mesh
from tests.test_kinds import vectors

NAMES = ("Male", "Eyeglasses", "Smiling")


def world(n=3000, seed=0):
    """Latents [n,3], each 2 higher with its label and else noise; men have glasses more often."""
    rng = np.random.default_rng(seed)
    male = rng.random(n) < 0.5
    attrs = np.stack([male, rng.random(n) < 0.1 + 0.6 * male, rng.random(n) < 0.5], axis=1)
    return (2 * attrs + 0.5 * rng.normal(size=(n, 3))).astype(np.float32), attrs


def _patches(z):
    rows = jnp.repeat(0.5 + 0.01 * z, 16, axis=1)  # [b,48]
    return jnp.broadcast_to(rows[:, :, None, None], (len(z), 48, 16, 3))


def read(variables, x):
    return (x.reshape(len(x), 3, 16, 16, 3).mean((2, 3, 4)) - 0.5) * 100


@pytest.fixture
def judge() -> Any:
    return SimpleNamespace(
        attribute_names=("Smiling", "Male", "Eyeglasses"),  # in an order of its own
        variables=(),
        thresholds=np.ones(3),
        logits_fn=lambda variables, x: read(variables, x)[:, jnp.array([2, 0, 1])],
        features_fn=read,
    )


MODEL: Any = SimpleNamespace(variables=(), mesh=make_mesh(), decode_fn=lambda variables, z: _patches(z))


def test_edits_are_painted_onto_photographs(judge):
    z, attrs = world()
    known = vectors(Kind("lda"), z, attrs, names=NAMES)
    grey = np.full((len(z), 48, 16, 3), 128, np.uint8)  # the judge reads 100·(128/255 − .5) = .2 in each
    edit = judge_edits(MODEL, known, judge, z, attrs, edited=["Smiling"], photographs=grey)["Smiling"]
    step = known["Smiling"].step("sd")[2]
    np.testing.assert_array_equal(edit.hits, 100 * (128 / 255 - 0.5) + FACTORS * step >= 1)
    assert edit.faces == 64 and edit.hits[0] == 0 and edit.hits[-1] == 1


def test_an_edit_that_drags_something_along_leaks(judge):
    z, attrs = world()
    plain = judge_edits(MODEL, vectors(Kind(), z, attrs, names=NAMES), judge, z, attrs)
    clean = judge_edits(MODEL, vectors(Kind("lda"), z, attrs, names=NAMES), judge, z, attrs)
    regression = judge_edits(MODEL, vectors(Kind("regression"), z, attrs, names=NAMES), judge, z, attrs)
    for found in (plain, clean, regression):
        assert set(found) == set(NAMES)
        edit = found["Eyeglasses"]
        assert edit.hits[0] == edit.leakage[0] == 0 and edit.ssim[0] == pytest.approx(1)
        assert edit.hits[-1] == 1 and (np.diff(edit.hits) >= 0).all()
        assert (np.diff(edit.moved) > 0).all() and edit.ssim[-1] < 1
        assert edit.flips.shape == (len(FACTORS), 3)
    at = plain["Eyeglasses"].smallest()
    assert at is not None and plain["Eyeglasses"].hits[at] >= 0.9 > plain["Eyeglasses"].hits[at - 1]
    assert plain["Eyeglasses"].leakage_at() > 0.1  # turned into men
    assert regression["Eyeglasses"].leakage_at() < plain["Eyeglasses"].leakage_at() / 2


def test_figures_by_hand(judge):
    z, attrs = world(400)
    known = vectors(Kind(), z, attrs, names=NAMES)
    factors, step = np.array([0, 1.0, 2.5]), known["Smiling"].step("sd")
    found = judge_edits(MODEL, known, judge, z, attrs, edited=["Smiling"], faces=400, factors=factors)["Smiling"]
    start = z[~attrs[:, 2]]
    start = start[start[:, 2] < 1]
    assert found.faces == len(start)
    said = start[:, None] + factors[:, None] * step > 1  # [n,f,3] in the order of NAMES
    flips = (said != said[:, :1]).mean(0)
    np.testing.assert_allclose(found.hits, said[:, :, 2].mean(0), atol=0.006)
    np.testing.assert_allclose(found.flips, flips[:, [2, 0, 1]], atol=0.006)
    np.testing.assert_allclose(found.leakage, flips[:, :2].mean(1), atol=0.006)
    step_alone = np.abs(np.delete(step, 2)) / z[~attrs[:, 2]][:, :2].std(0)  # of the two others
    np.testing.assert_allclose(found.drift, factors * step_alone.mean(), rtol=1e-3, atol=1e-6)
    start = z[~attrs[:, 2]]
    pairs = start[:, None] - start[None]
    apart = np.sqrt((pairs**2).sum(-1).sum() / (len(start) * (len(start) - 1)))
    np.testing.assert_allclose(found.moved, factors * np.linalg.norm(step) / apart, rtol=1e-3, atol=1e-6)


def test_what_cannot_be_measured_has_no_figure(judge):
    z, attrs = world()
    known = vectors(Kind(), z, attrs, names=NAMES)
    alone = judge_edits(MODEL, known, judge, z, attrs, judged=["Smiling"])["Smiling"]  # nothing else can turn over
    assert alone.hits[-1] == 1 and np.isnan([*alone.leakage, *alone.drift, alone.hits_at(), alone.leakage_at()]).all()
    one = [np.flatnonzero(~attrs[:, 2] & (z[:, 2] < 1))[0]]
    found = judge_edits(MODEL, known, judge, z[one], attrs[one], edited=["Smiling"])["Smiling"]  # one face: no spread
    assert found.faces == 1 and np.isfinite(found.leakage).all() and np.isnan([*found.drift, *found.moved]).all()


def test_what_a_card_needs():
    edit = judge_like([0, 0.5, 0.8, 1.0], [0, 0.02, 0.06, 0.2])
    assert edit.hits_at(0.05) == 0.5 and edit.hits_at(0.0) == 0 and edit.hits_at(1.0) == 1
    assert edit.smallest(0.8) == 2 and edit.smallest(0.0) == 0
    np.testing.assert_allclose(edit.leakage_at(0.9), 0.13)
    assert np.isnan(judge_like([0, 0.5], [0, 0.1]).leakage_at(0.9))
    matrix = leak_matrix({"b": edit}, ["a", "b"], hits=0.8)
    assert np.isnan(matrix[0]).all()
    np.testing.assert_array_equal(matrix[1], edit.flips[2])


def judge_like(hits, leakage):
    hits, leakage = np.array(hits), np.array(leakage)
    return Edit(9, hits, np.stack([leakage, hits], axis=1), leakage, leakage, leakage, 1 - leakage)


def test_bad_input(judge):
    z, attrs = world(100)
    known = vectors(Kind(), z, attrs, names=NAMES)
    with pytest.raises(InputError, match="factors must start at 0"):
        judge_edits(MODEL, known, judge, z, attrs, factors=np.array([1.0, 2]))
    with pytest.raises(InputError, match="the judge does not know Bald: it was trained on Smiling, Male, Eyeglasses"):
        judge_edits(MODEL, known, judge, z, attrs, edited=["Bald"])
    with pytest.raises(InputError, match="unknown attribute 'Smiling': there are: Male, Eyeglasses"):
        fewer = vectors(Kind(), z, attrs[:, :2], names=NAMES[:2])
        judge_edits(MODEL, fewer, judge, z, attrs[:, :2], edited=["Smiling"])
    keeping = vectors(Kind("conditional", keep=("Male",)), z, attrs, names=NAMES)
    assert set(judge_edits(MODEL, keeping, judge, z, attrs, edited=["Male", "Smiling"])) == {"Smiling"}
    everyone = attrs.copy()
    everyone[:, 2] = True
    assert "Smiling" not in judge_edits(MODEL, known, judge, z, everyone)
