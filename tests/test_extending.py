"""docs/extending.md, copied out into a copy of the package, and run: what it adds trains, resumes and makes vectors."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import jvae
from jvae.training.history import HISTORY
from jvae.training.log import read_metrics, read_rows

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "extending.md"
TINY = "--loop.batch-size 8 --loop.chunk-steps 2 --loop.eval-every 2 --optimizer.warmup-steps 1"
SMALLER = {"--count 2000 --size 32": "--count 64 --size 16", "--size 32": "--size 16"}


pytestmark = pytest.mark.slow


class Block(NamedTuple):
    """A block of code: its language, the file or the registry and its file that the paragraph before it names."""

    kind: str
    text: str
    table: str | None
    file: str | None


def blocks() -> list[Block]:
    found: list[Block] = []
    table, file = None, None
    for before, kind, text in re.findall(r"(.*?)^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        paragraph = before.strip().split("\n\n")[-1]
        if paragraph or kind != "diff":  # several diffs of one file follow each other
            at = re.fullmatch(r"(?:Its line in `(\w+)` of )?`(jvae/[\w/]+\.py)`(?::|, above `\w+`)?", paragraph)
            table, file = at.groups() if at else (None, None)
        found.append(Block(kind, text, table, file))
    return found


def add_to(root: Path, block: Block) -> None:
    """What the page says to do with a block that belongs in a file."""
    assert block.file
    path = root / block.file
    if block.kind == "diff":
        lines = [(line[:1], line[1:]) for line in block.text.splitlines()]
        old, new = ("\n".join(text for sign, text in lines if sign != left_out) for left_out in "+-")
        assert path.read_text().count(old) == 1, f"{block.file} has no such place:\n{old}"
        path.write_text(path.read_text().replace(old, new))
    elif block.table:
        assert block.text.count("\n") == 1  # one line
        whole, count = re.subn(rf"^({block.table}\b.*{{\n)", rf"\1{block.text}", path.read_text(), flags=re.MULTILINE)
        assert count == 1, f"{block.file} has no table {block.table}"
        path.write_text(whole)
    elif path.exists():  # a function, above the table
        before, comment, after = path.read_text().partition("# Kind -> function")
        path.write_text(f"{before}{block.text}\n\n{comment}{after}")
    else:
        path.write_text(block.text)


def script(commands: list[Block]) -> str:
    """A program of all commands and snippets of Python; each training is stopped half-way, and resumed."""
    lines = ["import sys", "from jvae.cli.main import main"]
    for block in commands:
        if block.kind == "python":
            lines.append(block.text)
            continue
        for command in block.text.splitlines():
            for long, short in SMALLER.items():
                command = command.replace(long, short)
            first, *words = command.split()
            assert first == "jvae"
            each = [f" {TINY} --loop.steps {n}" for n in (2, 4)] if words[0] == "train" else [""]
            lines += [f"sys.argv = {[first, *words, *more.split()]}\nmain()" for more in each]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the page was followed to its end."""
    root = tmp_path_factory.mktemp("extending")
    shutil.copytree(ROOT / "jvae", root / "jvae", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    for block in blocks():
        if block.file:
            add_to(root, block)
    (root / "follow.py").write_text(script([block for block in blocks() if not block.file]))
    one_device = re.sub(r"--xla_force_host_platform_device_count=\d+", "", os.environ["XLA_FLAGS"])
    environment = os.environ | {"PYTHONPATH": str(root), "XLA_FLAGS": one_device}
    done = subprocess.run(
        [sys.executable, "follow.py"], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return root


@pytest.mark.parametrize("name", ["small", "edges", "noise", "tracked"])
def test_what_the_page_adds_trains_and_resumes(place, name):
    rows = read_metrics(place / "runs" / name)
    assert [row["step"] for row in rows if row["split"] == "validation"] == [2, 4]
    assert [row["step"] for row in read_rows(place / "runs" / name / HISTORY)] == [0, 2, 2, 4]
    assert all(("edges" in row) == (name == "edges") for row in rows)
    assert json.loads((place / "runs" / name / "config.json").read_text())["model"]["name"] == "small"


def test_the_tracker_has_the_numbers_of_both_calls(place):
    lines = (place / "runs" / "tracked" / "curves.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines if "validation/objective" in line] == ["2", "4"]
    assert sum(",train/loss," in line for line in lines) == 2


def test_the_source_packs_the_same_pictures(place):
    ours, theirs = (jvae.PackedStore.open(place / "data" / name) for name in ("faces", "mine"))
    assert (ours.images == theirs.images).all() and (ours.attrs == theirs.attrs).all()
    assert ours.attribute_names == theirs.attribute_names and theirs.meta.counts["test"] == 8


def test_the_vectors_and_the_edits_are_there(place):
    assert (place / "runs" / "small" / "vectors.npz").is_file()
    assert (place / "runs" / "small" / "figures" / "Eyeglasses.png").is_file()


def test_the_code_is_as_clean_as_the_house(place):
    new = [block.file for block in blocks() if block.kind == "python" and block.file and not block.table]
    done = [
        subprocess.run(
            [sys.executable, "-m", "ruff", *how, *new], cwd=place, capture_output=True, text=True, check=False
        )
        for how in (["check", "-q"], ["format", "-q", "--check"])
    ]
    assert not any(one.returncode for one in done), "".join(one.stdout for one in done)
