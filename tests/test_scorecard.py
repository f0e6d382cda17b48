"""Scorecards of a tiny run: what is refused, what is warned of, and what is left out."""

import dataclasses
import functools
import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest

from jvae.cli import scorecard as command
from jvae.cli import scores
from jvae.cli import vectors as estimate
from jvae.cli.flags import Chart, Trained, VectorFile, Vectors
from jvae.errors import InputError, InputWarning
from jvae.evaluate import card as cards
from jvae.evaluate.card import scorecard
from jvae.evaluate.provenance import origin_of, warn_of_teacher
from jvae.export import write
from jvae.judge.judge import Judge
from jvae.latent.kinds import Kind
from jvae.latent.priors import aggregate
from jvae.latent.vectors import AttributeVectors, Learned
from jvae.trained import TrainedModel, load
from jvae.training.learned import judge_digest
from tests.exports import bundle_of
from tests.faces import small_store
from tests.runs import ONE, untrained_judge, whole_run

KEEPING = Kind("regression", keep=("Male", "Young"))
FEW = {"least_auc": 0.0, "faces": 4, "identity": "none"}


@functools.cache
def estimated(split: str = "train") -> Path:
    out = Path(tempfile.mkdtemp(prefix="jvae-vectors-")) / "vectors.npz"
    estimate.main(Trained(whole_run(), small_store().path), split=split, out=out)
    return out


@functools.cache
def known(split: str = "train") -> AttributeVectors:
    return AttributeVectors.load(estimated(split))


@functools.cache
def judge():
    return untrained_judge(small_store())


@functools.cache
def model():
    return load(whole_run(), mesh=ONE)


def of(kinds=("difference",), **how):
    return scorecard(model(), known(), judge(), small_store(), kinds=kinds, **FEW | how)


def test_a_kind_without_a_vector_of_what_is_edited_is_left_out():
    said = []
    card = of((Kind(), KEEPING), edited=["Male"], report=said.append)
    assert set(card.edits) == {Kind()} and list(card.edits[Kind()]) == ["Male"]
    assert f"{KEEPING} is left out: it can edit no face by Male" in said
    card = of((Kind(), KEEPING), edited=["Male", "Smiling"])
    assert set(card.edits[Kind()]) == {"Male", "Smiling"} and set(card.edits[KEEPING]) == {"Smiling"}
    with pytest.raises(InputError, match="no kind that is scored has a vector of Male, Young: give other attributes"):
        of((KEEPING,), edited=["Male", "Young"])


def test_a_judge_of_other_attributes_or_of_another_size_is_refused():
    own, names = judge(), [f"Has_{name}" for name in judge().attribute_names]
    other = Judge(names, own.image_size, own.variables, own.thresholds, own.scores.set_axis(names))
    large = untrained_judge(small_store(size=32))
    for each, said in (
        (other, "^the judge tells Has_.*, and the vectors are of .*Smiling.*: train a judge on the same store"),
        (
            large,
            "^a judge of images of 32 pixels cannot score a model of images of 16: train a judge on the same store",
        ),
    ):
        with pytest.raises(InputError, match=said):
            scorecard(model(), known(), each, small_store(), kinds=("lda",), **FEW)


def test_the_command_leaves_out_such_kinds(tmp_path):
    judge().save(tmp_path / "judge.npz")
    trained, out = Trained(whole_run(), small_store().path), tmp_path / "card"
    command.main(
        trained, tmp_path / "judge.npz", attributes=("Male",), least_auc=0.0, edits=4, identity="none",
        file=VectorFile(estimated()), out=out,
    )  # fmt: skip
    card = json.loads((out / "scorecard.json").read_text())
    assert set(card["edits"]) == {"difference", "balanced over Male", "regression", "lda"}
    assert (out / "page.png").exists() and "keeping" not in (out / "attributes.csv").read_text()


def test_a_painted_scorecard_looks_for_people_in_what_is_painted():
    cards = [of(("lda",), edited=["Smiling"], identity="judge", painted=how) for how in (False, True)]
    kept = [card.identity.edits[Kind("lda")]["Smiling"] for card in cards if card.identity]
    assert kept[1].before == 1 and kept[1].factor == cards[1].edits[Kind("lda")]["Smiling"].landed() / 2
    assert [card.of["painted"] for card in cards] == [False, True]


def test_samples_are_of_the_prior_of_all_latents_and_of_what_jvae_sample_draws_from(monkeypatch):
    found = of(("lda",), edited=["Smiling"]).frechet["the judge"]
    assert list(found) == ["the prior", "the aggregate", "a mixture", "reconstructions"]
    monkeypatch.setattr(cards, "mixture_of_faces", lambda model, store, **more: aggregate(known().totals))
    found = of(("lda",), edited=["Smiling"]).frechet["the judge"]
    assert found["a mixture"] == found["the aggregate"] != found["the prior"]
    splits = np.where(small_store().splits == "train", "validation", small_store().splits)
    held_out = dataclasses.replace(small_store(), splits=splits)
    card = scorecard(model(), known(), judge(), held_out, kinds=["lda"], edited=["Smiling"], **FEW)
    assert list(card.frechet["the judge"]) == ["the prior", "the aggregate", "reconstructions"]


def test_a_scorecard_says_what_it_is_of():
    card = of(("lda",), edited=["Smiling"])
    assert card.as_json()["of"] == {
        "model": model().digest, "vectors": origin_of(model(), known())["vectors"], "judge": judge_digest(judge()),
        "step": 17, "painted": False,
    }  # fmt: skip
    learned = known().with_learned(Learned(np.zeros((len(known().attribute_names), 6)), ()))
    assert len({origin_of(model(), each)["vectors"] for each in (known(), learned, known("test"))}) == 3
    assert origin_of(model(), known()) == origin_of(model(), AttributeVectors.load(estimated(), "lda"))
    assert origin_of(model(), None) == {"model": model().digest}


def test_judges_that_taught():
    learned = Learned(np.ones((len(known().attribute_names), 6)), (judge_digest(judge()),))
    taught = known().with_learned(learned)
    with pytest.raises(InputError, match=r"learned vectors were trained by the judge that is given.* of another seed"):
        scorecard(model(), taught, judge(), small_store(), kinds=["lda", "learned"], **FEW)
    scorecard(model(), taught, judge(), small_store(), kinds=["lda"], edited=["Smiling"], **FEW)


def test_the_judge_of_the_models_own_training_is_warned_of(tmp_path):
    own = TrainedModel(model().config, model().variables, step=17, teacher=judge_digest(judge()), mesh=ONE)
    with pytest.warns(InputWarning, match="trained to please the judge that scores it"):
        warn_of_teacher(own, judge())
    with pytest.warns(InputWarning, match="^learned vectors were trained to please the judge"):
        warn_of_teacher(model(), judge(), Learned(np.ones((3, 6)), (judge_digest(judge()),)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_teacher(own, untrained_judge(small_store(), blocks=1))
        warn_of_teacher(model(), judge())  # nobody knows of one
    write.export(dataclasses.replace(bundle_of(), model=own), tmp_path / "hub", "hub")
    assert load(tmp_path / "hub").teacher == own.teacher


def test_kinds_are_scored_whatever_the_vectors_that_were_saved_keep(capsys):
    keeping = known().of_kind(Kind("regression", keep=("Male", "Young")))
    assert "Male" not in keeping
    assert command.choose_kinds(keeping, None, None) == command.choose_kinds(known(), None, None)
    assert "left out" not in capsys.readouterr().out


def test_vectors_of_the_split_that_is_scored_are_warned_of(tmp_path):
    says = "were estimated on the split test of store, and are scored on the split test of store"
    with pytest.warns(InputWarning, match=says):
        scorecard(model(), known("test"), judge(), small_store(), kinds=["lda"], edited=["Smiling"], **FEW)
    trained, chart = Trained(whole_run(), small_store().path), Chart(tmp_path / "scores.png")
    with pytest.warns(InputWarning, match=says):
        scores.main(trained, thresholds="train", vectors=Vectors(vectors=estimated("test")), chart=chart)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores.main(trained, thresholds="train", vectors=Vectors(vectors=estimated()), chart=chart)


def test_truth_is_not_of_the_faces_that_the_model_knows():
    with pytest.raises(InputError, match=r"truth=0: faces of this seed are those of .*store.*: give another seed"):
        of(truth=0)


def test_truth_is_of_rendered_faces_alone(monkeypatch):
    monkeypatch.setattr(type(small_store()), "source", "CelebA folder")
    with pytest.raises(InputError, match=r"truth=3: edits are held against rendered faces, .*\(CelebA folder\)"):
        of(truth=3)
