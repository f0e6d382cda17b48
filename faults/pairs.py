"""Files that are each whole and do not belong together: refused, or warned of in a line; never silently mixed.

    python -m faults --only pairs

Two stores of one shape, one of another crop and one of another size; two runs of one store but for the seed, and one of
the other; the vectors of each; judges. Every trial gives a command things of more than one of these.
"""

import contextlib
import io
import random
import re
import shutil
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from faults.row import Row
from jvae.cli.main import find_command
from jvae.cli.run import call
from jvae.errors import InputError, InputWarning

TINY = "--model.widths 4 --model.latent-dim 4 --loop.batch-size 8 --loop.chunk-steps 3 --loop.eval-every 6".split()
JUDGE = "--loop.batch-size 8 --loop.chunk-steps 3 --loop.eval-every 6 --loop.steps 12".split()


class Pair(NamedTuple):
    """Things that do not belong together.

    Attributes:
      name: what they are.
      words: the command, in a folder in which `spoil` has put them together.
      spoil: what is done to a folder with copies of everything, at random.
    """

    name: str
    words: Sequence[str]
    spoil: Callable[[Path, random.Random], None] = lambda folder, rng: None


def run(count: int, folder: Path) -> list[Row]:
    """Tries the pairs in turn, `count` times in all."""
    whole = folder / "whole"
    make(whole)
    rows = []
    found: dict[str, Counter[str]] = {pair.name: Counter() for pair in PAIRS}
    for i in range(count):
        pair, place = PAIRS[i % len(PAIRS)], folder / f"trial-{i}"
        shutil.copytree(whole, place)
        rng = random.Random(i)
        pair.spoil(place, rng)
        said = outcome(place, pair.words)
        found[pair.name][said.partition(":")[0]] += 1
        if said.startswith(("silent", "failed")):
            (place / "wrong.txt").write_text(f"{pair.name}: {' '.join(pair.words)}: {said}\n")
        else:
            shutil.rmtree(place)
    for name, how in found.items():
        said = f"{how['refused']} refused in one line, {how['warned']} warned of in one"
        rows.append(Row(f"pair: {name}", how.total(), said, how["silent"] + how["failed"]))
    return [row for row in rows if row.times]


def make(folder: Path) -> None:
    """What belongs together: stores s and t of two sets of faces, c of s's in another crop, l of s's larger; runs a and
    b on s, d on t; a judge of s and one of l."""
    folder.mkdir(parents=True)
    for name, words in (
        ("s", "--size 16 --seed 0 --crop center"), ("t", "--size 16 --seed 9 --crop center"),
        ("c", "--size 16 --seed 0 --crop squash"), ("l", "--size 32 --seed 0 --crop center"),
    ):  # fmt: skip
        _do(folder, f"pack rendered --count 300 --out {name} {words}".split())
    for name, store, seed in (("a", "s", 0), ("b", "s", 1), ("d", "t", 0)):
        _do(folder, ["train", "demo", *TINY, *f"--data {store} --out {name} --seed {seed} --loop.steps 12".split()])
        _do(folder, f"vectors --run {name} --data {store}".split())
    for name, store in (("judge-s", "s"), ("judge-l", "l")):
        _do(folder, ["judge", *JUDGE, "--data", store, "--out", name])


def _do(folder: Path, words: Sequence[str]) -> str:
    """What a command says, run in the folder, its warnings in lines of their own."""
    out = io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(folder))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        warned = stack.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always")
        function, rest = find_command(words[0], words[1:])
        call(function, rest, words[0])
    lines = [f"warning: {w.message}" for w in warned if issubclass(w.category, InputWarning)]
    return "\n".join([*lines, out.getvalue()])


def outcome(folder: Path, words: Sequence[str]) -> str:
    """ "refused: …", "warned: …", "silent" or "failed: …"."""
    try:
        said = _do(folder, words)
    except InputError as error:
        return f"refused: {error}" if str(error).isprintable() else f"failed: {error}"
    except (Exception, SystemExit):
        return f"failed: {traceback.format_exc()}"
    return next((f"warned: {x}" for x in said.splitlines() if x.startswith("warning: ") and ABOUT.search(x)), "silent")


def _put(source: str, to: str) -> Callable[[Path, random.Random], None]:
    """Puts a copy of one thing in the place of another."""

    def spoil(folder: Path, rng: random.Random) -> None:
        shutil.rmtree(folder / to) if (folder / to).is_dir() else (folder / to).unlink()
        (shutil.copytree if (folder / source).is_dir() else shutil.copy)(folder / source, folder / to)

    return spoil


def _go_on(folder: Path, rng: random.Random) -> None:
    """Trains run a on, so that its vectors are of an older checkpoint."""
    _do(folder, ["train", "demo", *TINY, *"--data s --out a --seed 0 --loop.steps 24".split()])


def _users(run: str, data: str, *more: str) -> list[list[str]]:
    """Commands that draw on a run's vectors."""
    return [
        f"edit --run {run} --data {data} --attribute Smiling --count 2".split() + [*more],
        ["map", "--run", run, *more],
        f"scores --run {run} --data {data}".split() + [*more],
    ]


def _of_data(data: str) -> list[list[str]]:
    """Commands that show a run's model a store."""
    return [
        f"reconstruct --run a --data {data} --count 2".split(),
        f"vectors --run a --data {data}".split(),
        f"edit --run a --data {data} --attribute Smiling --count 2".split(),
        f"posterior --run a --data {data} --count 20".split(),
    ]


def _scorecard(judge: str, data: str = "s", run: str = "a") -> list[str]:
    return f"scorecard --run {run} --data {data} --judge {judge} --edits 4 --least-auc 0".split()


ABOUT = re.compile("vectors|checkpoint|crop|store|packed")  # what a warning speaks of that is about a pair

PAIRS = (
    *(Pair("a run, vectors of another", words) for words in _users("a", "s", "--vectors", "b/vectors.npz")),
    *(Pair("a run, vectors of another in its place", words, _put("b/vectors.npz", "a/vectors.npz"))
      for words in _users("a", "s")),
    *(Pair("a run, vectors of a run on other data", words) for words in _users("a", "s", "--vectors", "d/vectors.npz")),
    *(Pair("a run, vectors of its older checkpoint", words, _go_on) for words in _users("a", "s")),
    *(Pair("a run, checkpoints of another in its place", words, _put("b/checkpoints", "a/checkpoints"))
      for words in _users("a", "s")),
    *(Pair("a run, a store of another crop", words) for words in _of_data("c")),
    *(Pair("a run, a store of other faces", words) for words in _of_data("t")),
    Pair("a run to go on, a store of other faces",
         ["train", "demo", *TINY, *"--data t --out a --loop.steps 24".split()]),
    Pair("a store, pixels of another", "reconstruct --run a --data s".split(), _put("t/images.npy", "s/images.npy")),
    Pair("a store, labels of another", "vectors --run a --data s".split(), _put("t/labels.csv", "s/labels.csv")),
    Pair("a store, meta file of another", "vectors --run a --data s".split(), _put("t/meta.json", "s/meta.json")),
    Pair("a judge, a store of another size", _scorecard("judge-l")),
    Pair("a judge's run, a store of other faces", ["judge", *JUDGE, *"--data t --out judge-s --loop.steps 24".split()]),
    Pair("a run, scored on a store of other faces", _scorecard("judge-s", "t")),
)  # fmt: skip
