"""The command that paints edits onto photographs, with a small model that was not trained."""

import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jvae import trained
from jvae.cli.main import main
from jvae.data.faces import crop_of
from jvae.data.packed import PackedStore, pack
from jvae.data.source import DataId
from jvae.errors import InputError, InputWarning
from jvae.latent.encoding import attribute_statistics
from jvae.latent.vectors import AttributeVectors, Origin
from jvae.photo import eyes as eyes_module
from jvae.photo.eyes import DetectedFace
from jvae.runtime.hashing import random_key
from jvae.trained import TrainedModel
from jvae.training.presets import BOOK
from tests.celeba_files import encode, picture
from tests.faces import small_store
from tests.runs import fresh
from tests.test_faces import Plain

# The latents of a model that was not trained hardly vary, so any edit goes far.
pytestmark = pytest.mark.filterwarnings("ignore::jvae.errors.InputWarning")

CFG = BOOK.replace(preset="custom", image_size=16, widths=(4, 8), latent_dim=6)
EYES = ("--eyes", "200", "180", "290", "186")


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return TrainedModel(CFG, fresh(CFG.model.module(jnp.float32), CFG.model.image_size, random_key(0)))


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> PackedStore:
    return pack(Plain(), tmp_path_factory.mktemp("stores") / "plain", size=16, crop="center", progress=False)


@pytest.fixture(scope="module")
def vectors(model, store) -> AttributeVectors:
    stats = attribute_statistics(model, store.images, store.attrs, store.indices("train"), batch_size=20)
    return AttributeVectors.from_statistics(stats, store.attribute_names, Origin(digest=model.digest))


@pytest.fixture
def run(model, vectors, tmp_path, monkeypatch) -> Path:
    """A run directory with vectors, whose model is `model`; and a photograph in it."""
    vectors.save(tmp_path / "vectors.npz")
    monkeypatch.setattr(trained, "load", lambda path: model)
    (tmp_path / "me.jpg").write_bytes(encode(picture(0, 500, 400)))
    return tmp_path


def call(*args: object, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["jvae", "edit", *map(str, args)])
    try:
        main()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    return 0


def edit(run: Path, *args: object, monkeypatch: pytest.MonkeyPatch) -> int:
    words = ("--run", run, "--photo", run / "me.jpg", "--attribute", "Eyeglasses", *args)
    return call(*words, monkeypatch=monkeypatch)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_the_photograph_is_edited_where_the_face_is(run, monkeypatch, capsys):
    assert edit(run, *EYES, "--factors", 0, 900, monkeypatch=monkeypatch) == 0, capsys.readouterr().err
    assert "me-Eyeglasses.png with Eyeglasses +900, and me-Eyeglasses-sheet.png" in capsys.readouterr().out
    before, after = pixels(run / "me.jpg"), pixels(run / "figures" / "me-Eyeglasses.png")
    changed = (before != after).any(axis=-1)
    ys, xs = np.nonzero(changed)
    assert changed[200:240, 220:270].mean() > 0.5  # below the eyes
    # The frame's crop reaches 54.9 of its pixels left of an eye and 76.8 above; a pixel of it is 2.36 of these.
    assert 200 - 130 - 20 < xs.min() and xs.max() < 290 + 130 + 20 and 180 - 182 < ys.min()
    assert pixels(run / "figures" / "me-Eyeglasses-sheet.png").ndim == 3


def test_factor_0_is_the_photograph_itself(run, monkeypatch):
    assert edit(run, *EYES, "--factors", 0, "--out", run / "same.png", monkeypatch=monkeypatch) == 0
    np.testing.assert_array_equal(pixels(run / "same.png"), pixels(run / "me.jpg"))
    assert edit(run, *EYES, "--factors", 0, "--paint", "face", "--out", run / "b.png", monkeypatch=monkeypatch) == 0
    assert (pixels(run / "b.png") != pixels(run / "me.jpg")).any()  # the decoded face


def test_the_face_is_looked_for(run, monkeypatch, capsys):
    faces = [DetectedFace(200 + 180j, 290 + 186j), DetectedFace(50 + 60j, 80 + 60j)]
    monkeypatch.setattr(eyes_module, "detect", lambda photo: faces)
    assert edit(run, monkeypatch=monkeypatch) == 2
    assert "me.jpg has 2 faces: choose one with --face" in capsys.readouterr().err
    assert edit(run, "--face", 1, "--factors", 2, monkeypatch=monkeypatch) == 0
    shown = capsys.readouterr()
    assert "found a face at 245 183 (90 pixels between the eyes)" in shown.out
    assert edit(run, "--face", 1, *EYES, monkeypatch=monkeypatch) == 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "no face found in me.jpg: say where the eyes are"),
        ((*EYES, "--attribute", "Eyeglases"), "did you mean Eyeglasses"),
        ((*EYES, "--out", "me.jpg"), "must end in .png"),
        ((*EYES[:3], "900", "186"), "the eye 900 186 lies outside of me.jpg, which is 500x400 pixels"),
        ((*EYES, "--factors", "nan"), "factors must be one or more finite numbers"),
        ((*EYES, "--photo", "nobody.jpg"), "there is no file nobody.jpg"),
        ((*EYES, "--count", "3"), "--photo says which face to edit: leave out --images, --split, --count and --seed"),
        ((*EYES, "--images", "a"), "--photo says which face to edit"),
    ],
)
def test_mistakes_are_one_line(run, args, message, monkeypatch, capsys):
    assert edit(run, *args, monkeypatch=monkeypatch) == 2
    shown = capsys.readouterr().err
    assert message in shown and shown.count("\n") == 1
    assert not (run / "figures").exists()


def test_the_photograph_is_not_overwritten(run, monkeypatch, capsys):
    (run / "me.png").write_bytes(encode(picture(0, 500, 400), "PNG"))
    assert edit(run, *EYES, "--photo", run / "me.png", "--out", run / "me.png", monkeypatch=monkeypatch) == 2
    assert "is the photograph itself" in capsys.readouterr().err
    (run / "me.png").rename(mine := run / "me-sheet.png")
    before = mine.read_bytes()
    assert edit(run, *EYES, "--photo", mine, "--out", run / "me.png", monkeypatch=monkeypatch) == 2
    assert f"writes {mine}, which is the photograph itself" in capsys.readouterr().err
    assert mine.read_bytes() == before and not (run / "me.png").exists()


def test_what_is_edited_must_be_said(run, monkeypatch, capsys):
    words = ("--run", run, "--attribute", "Eyeglasses")
    assert call(*words, monkeypatch=monkeypatch) == 2
    assert "there is nothing to edit: give --data, a store of faces, or --photo" in capsys.readouterr().err
    assert call(*words, "--data", run, "--face", 1, monkeypatch=monkeypatch) == 2
    assert "--eyes, --face and --crop are of a photograph" in capsys.readouterr().err


def test_how_a_run_was_cropped(store):
    with pytest.warns(InputWarning, match="does not say how its images were cropped: taking center"):
        assert crop_of(CFG) == "center" and crop_of(BOOK) == "squash" and crop_of(CFG, crop="squash") == "squash"
    assert crop_of(CFG, None, store.path) == crop_of(CFG, None, store.path, "center") == "center"
    assert crop_of(CFG, None, small_store().path) == "rendered"
    known = DataId("CelebA folder", "squash", "0f")
    assert crop_of(CFG, known) == crop_of(CFG, known, crop="squash") == "squash"
    with pytest.warns(InputWarning, match="the run was trained on the crop squash"):
        assert crop_of(CFG, known, store.path) == "squash"
    with pytest.raises(InputError, match="crop=center, and the images that the run was trained on are cropped by sq"):
        crop_of(CFG, known, crop="center")
    with pytest.raises(InputError, match=r"crop=squash, and the images of .* are cropped by center"):
        crop_of(CFG, None, store.path, "squash")
    with pytest.raises(InputError, match="unknown crop"):
        crop_of(CFG, crop="centre")
    with pytest.raises(InputError, match="holds images of 16x16"):
        crop_of(BOOK, None, store.path)


def test_faces_are_painted_with_only_the_change(run, store, monkeypatch):
    words = ("--run", run, "--data", store.path, "--attribute", "Eyeglasses", "--count", 2, "--factors", 0, 40, "--raw")
    for name, flags in (("a.png", ("--paint", "change")), ("b.png", ())):
        assert call(*words, *flags, "--out", run / name, monkeypatch=monkeypatch) == 0
    painted, decoded = (pixels(run / name).reshape(2, 16, 3, 16, 3).swapaxes(1, 2) for name in ("a.png", "b.png"))
    np.testing.assert_array_equal(painted[:, 0], decoded[:, 0])  # the originals
    np.testing.assert_array_equal(painted[:, 1], painted[:, 0])
    change = decoded[:, 2].astype(int) - decoded[:, 1]
    expected = np.clip(painted[:, 0] + change, 0, 255)
    assert np.abs(painted[:, 2] - expected).max() <= 1 and np.abs(change).max() > 1
