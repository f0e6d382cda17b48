"""Bytes changed, cut off or missing in everything that jvae reads back: found and named before use, or without effect.

    python -m faults.damage --count 200 --folder /tmp/damage

What was used although it had changed stays in the folder, named by its kind and number.
"""

import functools
import shutil
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd

from faults.row import Row
from jvae.cli import run as command_line
from jvae.data.packed import PackedStore, pack
from jvae.errors import InputError, InputWarning
from jvae.judge.judge import COLUMNS, Judge
from jvae.judge.net import JudgeNet, init_judge
from jvae.latent.vectors import AttributeVectors
from jvae.runtime.mesh import make_mesh
from jvae.training.checkpoint import Checkpoints
from jvae.training.presets import BOOK
from jvae.training.run import Record, claim_run, read_record
from jvae.training.state import State, state_shapes
from jvae.training.task import Hyper
from tests import sources, test_vectors

CFG = BOOK.replace(preset="tiny", image_size=16, widths=(4, 4), latent_dim=4, batch_size=8, steps=20, ema_decay=0.9)
NAMES = ("Bald", "Bangs")


class Kind(NamedTuple):
    """Something that is written and read back.

    Attributes:
      name: what it is.
      path: in the folder, a file or a directory whose files are damaged.
      read: the folder → what is read, as a tree of arrays and strings; `InputError` where it is refused.
    """

    name: str
    path: str
    read: Callable[[Path], Any]


def run(count: int, folder: Path, only: str = "") -> list[Row]:
    """Damages each kind of thing whose name holds `only`, `count` times."""
    whole = folder / "whole"
    _write(whole)
    rows = []
    for kind in (kind for kind in KINDS if only in kind.name):
        expected, found = kind.read(whole), Counter()
        for i in range(count):
            place, rng = folder / f"{kind.name.replace(' ', '-')}-{i}", np.random.default_rng(i)
            shutil.copytree(whole, place)
            files = sorted(p for p in [place / kind.path, *(place / kind.path).rglob("*")] if p.is_file())
            did = _harm(files[rng.integers(len(files))], rng)
            outcome = _outcome(kind, place, expected)
            found[outcome.partition(":")[0]] += 1
            if outcome.startswith("used"):
                (place / "damage.txt").write_text(f"{did}: {outcome}\n")
            else:
                shutil.rmtree(place)
        result = f"{found['named']} named before use, {found['fallen back']} with the checkpoint before taken"
        result += f", {found['harmless']} without effect on what is read"
        rows.append(Row(f"damage: {kind.name}", count, result, found["used"]))
    return rows


def _outcome(kind: Kind, place: Path, expected: Any) -> str:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            read = kind.read(place)
        except InputError as error:
            text = str(error)
            return (
                "named" if str(place) in text and "\n" not in text else f"used: {text!r} does not name it in one line"
            )
        except Exception as error:
            return f"used: {type(error).__name__}: {error}"
    if _equal(read, expected):
        return "harmless"
    if any(issubclass(w.category, InputWarning) and "is damaged" in str(w.message) for w in warned):
        return "fallen back" if _equal(read, _state(1)) else "used: fell back to something else"
    return "used: not noticed"


def _harm(path: Path, rng: np.random.Generator) -> str:
    """Damages a file, and says how."""
    data = np.fromfile(path, np.uint8)
    at, how = int(rng.integers(max(1, len(data)))), rng.integers(5)
    if how == 0 or not len(data):
        path.unlink()
        return f"{path.name} removed"
    if how == 1:
        data[:at].tofile(path)
        return f"{path.name} cut to {at} bytes"
    if how == 2:
        end = at + int(rng.integers(1, 64))
        data[at:end] = rng.integers(0, 256, len(data[at:end]))
        did = f"{path.name}: bytes {at} to {end} at random"
    elif how == 3:
        data[at : at + 512] = 0
        did = f"{path.name}: zeros from byte {at}"
    else:
        bit = int(rng.integers(8))
        data[at] ^= 1 << bit
        did = f"{path.name}: bit {bit} of byte {at}"
    data.tofile(path)
    return did


def _equal(a: Any, b: Any) -> bool:
    if jax.tree.structure(a) != jax.tree.structure(b):
        return False
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def _shapes() -> State:
    """Of a state of CFG."""
    mesh = make_mesh(jax.devices()[:1])
    return state_shapes(Record(CFG).task(mesh), Hyper.of(CFG.optimizer, 1), mesh)


def _state(step: int) -> State:
    """A state that differs from step to step."""
    return _drawn(_shapes(), step)._replace(step=np.int32(step))


def _drawn(shapes: Any, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(leaf.dtype), shapes)


def _write(folder: Path) -> None:
    """One of everything."""
    pack(sources.Rendered(120), folder / "store", size=16, crop="center", progress=False)
    claim_run(folder / "run", Record(CFG))
    with Checkpoints(folder / "run") as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, jax.device_put(_state(step)), 3.0 - step)
    AttributeVectors(test_vectors.sums(*test_vectors.data()), test_vectors.NAMES).save(folder / "vectors.npz")
    scores = pd.DataFrame(np.full((2, len(COLUMNS)), 0.5), pd.Index(NAMES, name="attribute"), COLUMNS)
    variables = _drawn(jax.eval_shape(functools.partial(init_judge, JudgeNet(2, 16)), jax.random.key(0)), 0)
    Judge(NAMES, 16, variables, np.zeros(2), scores).save(folder / "judge.npz")


def _read_store(folder: Path) -> Any:
    store = PackedStore.open(folder / "store")
    store.verify()
    return [np.array(store.images), store.image_ids, store.splits, store.attrs, *vars(store.meta).values()]


def _resume(folder: Path) -> Any:
    with Checkpoints(folder / "run") as checkpoints:
        return jax.device_get(checkpoints.restore(_shapes()))


def _read_vectors(folder: Path) -> Any:
    vectors = AttributeVectors.load(folder / "vectors.npz")
    return [*vectors.totals, *vectors.columns, str(vectors.origin), str(vectors.kind)]


def _read_judge(folder: Path) -> Any:
    judge = Judge.load(folder / "judge.npz")
    return [jax.device_get(judge.variables), judge.thresholds, judge.scores.to_numpy(), *judge.attribute_names]


KINDS = (
    Kind("images of a store", "store/images.npy", _read_store),
    Kind("labels of a store", "store/labels.csv", _read_store),
    Kind("meta file of a store", "store/meta.json", _read_store),
    Kind("last checkpoint", "run/checkpoints/2", _resume),
    Kind("config of a run", "run/config.json", lambda folder: str(read_record(folder / "run"))),
    Kind("vectors", "vectors.npz", _read_vectors),
    Kind("judge", "judge.npz", _read_judge),
)


def main(count: int, folder: Path, only: str = "") -> None:
    """Damages everything that is read back.

    Args:
      count: of each kind.
      folder: to work in; must not be there.
      only: what has this in its name.
    """
    for row in run(count, folder, only):
        print(row)


if __name__ == "__main__":
    command_line.run(main)
