"""The experiments: short, with a header that says what to expect; those that need no training, on a tiny run."""

import ast
import shutil
from pathlib import Path

import pytest
from PIL import Image

from experiments import book, celeba, edits, faces, objectives, quickstart, scaling, sweep
from jvae.cli import train, vectors
from jvae.cli.flags import Trained
from jvae.data.packed import PackedStore
from jvae.errors import InputError
from jvae.training.presets import preset
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
