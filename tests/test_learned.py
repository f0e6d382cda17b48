"""Vectors trained through a decoder that shows more than a step's own attribute."""

import functools
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jvae.cli import scorecard
from jvae.cli import vectors as command
from jvae.cli.flags import Kinds, Trained
from jvae.errors import InputError
from jvae.evaluate.edits import judge_edits
from jvae.latent.kinds import Kind
from jvae.latent.vectors import AttributeVectors, Learned
from jvae.runtime.mesh import make_mesh
from jvae.training import learned
from tests.faces import small_store
from tests.runs import untrained_judge, whole_run
from tests.test_edits import NAMES, _patches, read, world
from tests.test_kinds import vectors

MIXED = np.array([[1, 0, 0], [1, 1, 0], [0, 0.5, 1]], np.float32)  # glasses draw a man's face too, smiles glasses
MODEL: Any = SimpleNamespace(
    variables=jnp.asarray(MIXED), mesh=make_mesh(), image_size=64, decode_fn=lambda mixed, z: _patches(z @ mixed)
)


def said(variables, x):
    return read(variables, x)[:, jnp.array([2, 0, 1])] * variables["scale"]


def a_judge(scale=1.0, size=64, names=("Smiling", "Male", "Eyeglasses")) -> Any:
    variables = {"scale": np.float32(scale)}
    return SimpleNamespace(
        attribute_names=names, image_size=size, variables=variables, thresholds=scale * np.ones(3),
        attribute=names.index, logits_fn=said, features_fn=read,
    )  # fmt: skip


@functools.cache
def taught():
    z, attrs = world()
    known = vectors(Kind(), z, attrs, names=NAMES)
    found = learned.learn_vectors(MODEL, known, [a_judge(), a_judge(2.0)], z, attrs, steps=150)
    return z, attrs, known, found


def test_they_leave_what_the_decoder_would_change_too():
    z, attrs, known, found = taught()
    assert len(set(found.judges)) == 2
    ours = known.with_learned(found).of_kind("learned")
    for name in ("Eyeglasses", "Smiling"):
        before, after = (
            judge_edits(MODEL, each, a_judge(), z, attrs)[name] for each in (known.of_kind("regression"), ours)
        )
        assert after.hits_at() > before.hits_at() + 0.3 and after.hits_at() > 0.9
    shown = ours["Eyeglasses"].vector @ MIXED  # the patches that a step changes
    assert shown[1] > 0 and np.abs(shown[[0, 2]]).max() < 0.2 * shown[1]


def test_half_of_the_edits_are_painted_onto_photographs():
    z, attrs, known, found = taught()
    faint = _patches(z @ MIXED - np.array([0, 0, 2], np.float32))  # smiles are, on the photographs
    photographs = (np.asarray(faint) * 255).round().astype(np.uint8)
    painted = learned.learn_vectors(
        MODEL, known, [a_judge(), a_judge(2.0)], z, attrs, photographs=photographs, steps=150
    )
    more = ((painted.vectors - found.vectors) @ MIXED)[NAMES.index("Smiling")]
    assert more[2] > 0.2 and np.abs(more[:2]).max() < 0.1, more  # a smile goes further, and changes nothing else


def test_the_same_seed_gives_the_same():
    z, attrs, known, found = taught()
    again = learned.learn_vectors(MODEL, known, [a_judge(), a_judge(2.0)], z, attrs, steps=150)
    np.testing.assert_array_equal(again.vectors, found.vectors)


def test_one_attribute_has_no_others_to_turn_over():
    z, attrs, _, _ = taught()
    one = vectors(Kind(), z, attrs[:, 2:], names=("Smiling",))
    found = learned.learn_vectors(MODEL, one, [a_judge()], z, attrs[:, 2:], steps=2)
    assert np.isfinite(found.vectors).all()


def test_the_file_keeps_them(tmp_path):
    _, _, known, found = taught()
    known.with_learned(found).of_kind(Kind("learned", keep=("Male",))).save(tmp_path / "v.npz")
    loaded = AttributeVectors.load(tmp_path / "v.npz")
    assert loaded.kind == Kind("learned", keep=("Male",)) and loaded.learned is not None
    np.testing.assert_array_equal(loaded.learned.vectors, found.vectors)
    assert loaded.learned.judges == found.judges
    assert abs(loaded["Smiling"].unit @ found.vectors[NAMES.index("Male")]) < 1e-9
    assert np.isnan(loaded["Smiling"].split_half)  # they have no halves
    np.testing.assert_array_equal(np.asarray(loaded.of_kind("lda")), np.asarray(known.of_kind("lda")))


def test_what_cannot_be_learned_is_said():
    z, attrs, known, _ = taught()
    cases = [
        ([], "learned vectors need a judge"),
        ([a_judge(size=32)], "a judge of images of 32 pixels cannot teach vectors of a model of images of 64"),
        ([a_judge(names=("Bald", "Old", "Hat"))], "no attribute has a vector and is told by all judges"),
    ]
    for judges, rule in cases:
        with pytest.raises(InputError, match=rule):
            learned.learn_vectors(MODEL, known, judges, z, attrs, steps=1)
    with pytest.raises(InputError, match="no vectors were learned: `jvae vectors --kind learned --judges"):
        known.of_kind("learned")
    with pytest.raises(InputError, match=r"learned vectors must be \[3, 3\], not \[2, 3\]"):
        known.with_learned(Learned(np.zeros((2, 3)), ()))


def test_the_command_learns_them_and_another_judge_scores_them(tmp_path, capsys):
    store = small_store()
    judge = untrained_judge(store)
    judge.save(tmp_path / "judge.npz")
    trained, out = Trained(whole_run(), store.path), tmp_path / "vectors.npz"
    for given in ({"kinds": Kinds(kind="learned")}, {"judges": (tmp_path / "judge.npz",)}):
        with pytest.raises(InputError, match="--kind learned and --judges go together"):
            command.main(trained, **given)
    command.main(trained, kinds=Kinds(kind="learned"), judges=(tmp_path / "judge.npz",), steps=2, out=out)
    assert "vectors (learned)" in capsys.readouterr().out
    known = AttributeVectors.load(out)
    assert known.learned is not None and known.learned.judges == (learned.judge_digest(judge),)
    assert set(known.names) <= set(judge.attribute_names) and len(known)
    command.main(trained, kinds=Kinds(kind="lda"), out=out)  # other vectors of the same weights lose nothing
    again = AttributeVectors.load(out)
    assert again.kind == Kind("lda") and again.learned is not None
    np.testing.assert_array_equal(again.learned.vectors, known.learned.vectors)
    assert Kind("learned") in scorecard.choose_kinds(known, None, None)
    with pytest.raises(InputError, match=r"were trained by .*give another judge, of another seed"):
        scorecard.main(trained, tmp_path / "judge.npz", file=scorecard.VectorFile(out), out=tmp_path / "card")
    assert not (tmp_path / "card").exists()
