"""The experiments: short, with a header that says what to expect; those that need no training, on a tiny run."""

import ast
import shutil
from pathlib import Path

import pytest
from PIL import Image

from experiments import book, celeba, edits, faces, objectives, quickstart, scaling, sweep
from jvae.cli import vectors
from jvae.cli.flags import Trained
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
