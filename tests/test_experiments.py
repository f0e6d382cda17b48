"""The experiments: short, with a header that says what to expect; those that need no training, on a tiny run."""

import ast
import functools
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments import book, celeba, edits, faces, objectives, quickstart, scaling, sweep
from jvae.cli import scorecard, train, vectors
from jvae.cli.flags import Trained
from jvae.data.packed import PackedStore
from jvae.errors import InputError
from jvae.judge.judge import Judge
from jvae.trained import load, load_vectors
from jvae.training.learned import judge_digest
from jvae.training.presets import preset
from jvae.training.run import read_record
from tests.celeba_files import write_celeba
from tests.faces import small_store
from tests.runs import whole_run

MODULES = (book, celeba, edits, faces, objectives, quickstart, scaling, sweep)

# The latents of a model that was hardly trained hardly vary, so any edit goes far.
pytestmark = pytest.mark.filterwarnings("ignore::jvae.errors.InputWarning")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    shutil.copytree(whole_run(), folder)
    vectors.main(Trained(folder, small_store().path))
    return folder


def test_every_experiment_is_here():
    assert {Path(str(module.__file__)).name for module in MODULES} == {
        path.name for path in Path(book.__file__).parent.glob("*.py") if path.name != "__init__.py"
    }


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_an_experiment_is_short_and_says_what_to_expect(module):
    text = Path(module.__file__).read_text()
    assert text.count("\n") <= 60
    header = ast.get_docstring(ast.parse(text)) or ""
    assert "\n    python " in header or "\n    make demo" in header
    assert "Expect" in header


class TrainingBegins(Exception):
    pass


@pytest.fixture
def untrained(monkeypatch):
    """Experiments end where their training would begin."""

    def begin(*_):
        raise TrainingBegins

    monkeypatch.setattr(train, "main", begin)


def test_the_demo_takes_faces_that_are_there_only_when_they_are_those_of_its_seed(untrained, tmp_path):
    faces, out = tmp_path / "demo-faces", tmp_path / "demo"
    shutil.copytree(small_store().path, faces)
    with pytest.raises(TrainingBegins):
        quickstart.main(120, out=out)
    for count, seed in ((120, 1), (121, 0)):
        with pytest.raises(InputError, match=rf"holds 120 faces, not {count} of seed {seed}: remove it or"):
            quickstart.main(count, seed=seed, out=out)


@pytest.mark.parametrize(("name", "crop"), [("book", "squash"), ("celeba64", "center")])
def test_celeba_is_cropped_as_the_preset_is_of(untrained, tmp_path, name, crop):
    write_celeba(tmp_path / "celeba")
    with pytest.raises(TrainingBegins):
        celeba.main(tmp_path / "celeba", tmp_path / "run", name)
    store = PackedStore.open(tmp_path / "run-faces")
    assert (store.crop, store.size) == (crop, preset(name).model.image_size)


def test_faces_from_judges_to_hits(tmp_path, monkeypatch, capsys):
    small = {"image_size": 16, "batch_size": 8, "chunk_steps": 2, "steps": 4}
    tiny = {
        "judge": preset("judge").replace(**{**small, "steps": 60, "batch_size": 32}),
        "faces": preset("faces").replace(widths=(4, 8), groups=2, latent_dim=5, warmup_steps=1, **small),
    }
    monkeypatch.setattr(faces, "preset", tiny.__getitem__)
    monkeypatch.setattr(vectors, "main", functools.partial(vectors.main, steps=3))
    monkeypatch.setattr(scorecard, "main", functools.partial(scorecard.main, least_auc=0.0, edits=4, identity="none"))
    monkeypatch.setattr(faces, "HOW", {**faces.HOW, "edited": ["Male", "Smiling"], "faces": 8})  # which all judges tell
    shutil.copytree(small_store().path, tmp_path / "faces-store")
    faces.main(out=tmp_path / "faces-1", seed=1)
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith("test, ")]
    kinds = [("regression", 0), ("learned", 0), ("learned", 2)]
    heads = [f"test, {kind}, {how}, {n} choosers" for kind, n in kinds for how in ("decoded", "painted")]
    assert [line.partition(":")[0] for line in shown] == heads
    hits = np.array([re.findall(r"\d\.\d*", line) for line in shown], float)  # at 5, 10 % flips
    assert ((hits >= 0) & (hits <= 1)).all() and (hits[:, 0] <= hits[:, 1]).all()
    digests = [judge_digest(Judge.load(tmp_path / f"faces-judge{i}")) for i in range(3)]
    known = load_vectors(tmp_path / "faces-1", load(tmp_path / "faces-1"))
    assert known.learned is not None and set(known.learned.judges) == {digests[0], digests[2]}  # and 1 scores
    assert read_record(tmp_path / "faces-1").judge == digests[2]


def test_the_book_step_by_step(run, capsys):
    book.main(run, small_store().path, label="Smiling")
    shown = capsys.readouterr().out
    assert "n : POS move : NEG move : distance" in shown and "found the Smiling vector" in shown
    made = {path.name for path in (run / "figures" / "book").iterdir()}
    assert made == {"posterior.png", "vectors_Smiling.npz", "morph.png", "Smiling.png"}


def test_kinds_of_edits_compared(run, capsys):
    edits.main(run, small_store().path, "Smiling")
    shown = capsys.readouterr().out
    assert all(kind in shown for kind in ("difference", "regression", "lda", "balanced", "conditional", "separation"))
    with Image.open(run / "figures" / "kinds-Smiling.png") as image:
        assert image.height > 5 * 128
