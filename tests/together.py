"""What each of several processes does in tests/test_processes.py: python -m tests.together --tour T --folder F.

Each writes what it found to F/T-PROCESS.npz.
"""

import dataclasses
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jvae.cli.run import run
from jvae.config import Config
from jvae.data.packed import PackedStore
from jvae.errors import InputError
from jvae.latent.encoding import attribute_statistics
from jvae.latent.statistics import add_totals, totals
from jvae.runtime.processes import is_main, together
from jvae.trained import TrainedModel, load
from jvae.training.log import read_metrics
from jvae.training.loop import train
from jvae.training.presets import BOOK

TINY = BOOK.replace(
    preset="tiny", image_size=16, widths=(4,), latent_dim=4, batch_size=16, chunk_steps=2, eval_every=6, steps=12,
    learning_rate=5e-3, residency="streamed", dropout=0.0,
)  # fmt: skip


class Watched(np.ndarray):
    """Images that remember which of them were read."""

    read: set[int]

    def __getitem__(self, rows: Any) -> Any:
        if isinstance(rows, np.ndarray):
            self.read.update(rows.ravel().tolist())
        return super().__getitem__(rows).view(np.ndarray)


def watched(store: PackedStore) -> tuple[PackedStore, set[int]]:
    """The store, and a set of the rows read of it."""
    images = store.images.view(Watched)
    images.read = set()
    return dataclasses.replace(store, images=images), images.read


def losses(run: Path) -> list[float]:
    return [row["loss"] for row in read_metrics(run) if row["split"] == "train"]


def leaves(model: TrainedModel) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(jax.device_get(model.variables))]


def measured(model: TrainedModel, store: PackedStore) -> dict[str, np.ndarray]:
    """Sums, latents and pictures, by name."""
    stats = attribute_statistics(model, store.images, store.attrs, store.indices("train"), batch_size=16)
    sums = add_totals([totals(half) for half in stats])
    z = model.encode(store.images, rows=np.arange(5))
    return {"z": z, "decoded": model.decode(z), "sums": sums.z, "squares": sums.zz, "of_attributes": sums.attr_z}


def stop_in(process: int, chunk: int) -> Callable[[], int | None]:
    """SIGTERM, in one process alone, for the chunk of that number."""
    asked = iter(range(100))
    return lambda: signal.SIGTERM if next(asked) == chunk and jax.process_index() == process else None


class CutElsewhere(PackedStore):
    """A store whose images each process says it has cut in its own way."""

    @property
    def crop(self) -> str:
        return ("center", "squash")[jax.process_index()]


def refused(cfg: Config, store: PackedStore, run: Path) -> str:
    """Why training is; nothing where it is not."""
    try:
        train(cfg, store, run)
    except InputError as error:
        return str(error)
    return ""


def two(folder: Path) -> dict[str, Any]:
    """Trains, stopped in the midst by process 1; trains on what one process began; measures."""
    store = PackedStore.open(folder / "store")
    differing = [
        refused(TINY.replace(seed=jax.process_index()), store, folder / "differing"),
        refused(TINY, CutElsewhere.open(folder / "store"), folder / "differing"),
    ]
    seen, rows = watched(store)
    first = train(TINY, seen, folder / "run2", stopped=stop_in(1, 1))
    if is_main():
        for name in ("run2to1", "run2to4"):
            shutil.copytree(folder / "run2", folder / name)
    multihost_utils.sync_global_devices("copied")
    rest = train(TINY, store, folder / "run2")
    train(TINY, store, folder / "run1to2")
    model = load(folder / "run2", which="last")
    read = sorted(rows & set(store.indices("train").tolist()))
    stop = [first.step, first.signum or 0, rest.step]
    return {"differing": differing, "stop": stop, "read": read, **measured(model, store)}


def four(folder: Path) -> dict[str, Any]:
    """Trains on what two began, now with the images on the devices, stopped by process 3."""
    cfg = TINY.replace(residency="resident")
    outcome = train(cfg, PackedStore.open(folder / "store"), folder / "run2to4", stopped=stop_in(3, 1))
    return {"stop": [outcome.step, outcome.signum or 0]}


@together
def main(tour: str, folder: Path) -> None:
    found = globals()[tour](folder)
    np.savez(folder / f"{tour}-{jax.process_index()}.npz", **found)
    print("done", flush=True)
    killed = {"two": 1, "four": 0}.get(tour)
    if killed is not None:
        if jax.process_index() == killed:
            os.kill(os.getpid(), signal.SIGKILL)
        multihost_utils.sync_global_devices("never reached by the killed one")


if __name__ == "__main__":
    run(main)
