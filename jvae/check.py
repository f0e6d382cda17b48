"""A store, a run, or a file of vectors or of a judge in; which of its parts are damaged, and how, out."""

import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from jvae.data.packed import LABELS, META, PackedStore
from jvae.data.packing import IMAGES
from jvae.errors import InputError
from jvae.judge.judge import Judge
from jvae.latent.vectors import AttributeVectors
from jvae.runtime.mesh import make_mesh
from jvae.training.checkpoint import Checkpoints
from jvae.training.exported import WEIGHTS, is_exported, read_exported
from jvae.training.log import METRICS, TIMINGS, read_rows
from jvae.training.run import CHECKPOINTS, CONFIG, read_record, steps_of
from jvae.training.state import state_shapes
from jvae.training.task import Hyper


def check(path: str | os.PathLike[str]) -> Iterator[tuple[Path, str | None]]:
    """Yields each part of what is at `path`, as it is verified, with what is wrong with it; None if it is whole.

    Raises:
      InputError: `path` is no store, run, vectors or judge.
    """
    path = Path(path)
    if path.suffix == ".npz" and path.is_file():
        yield _tried(path, lambda: _check_npz(path))
    elif (path / META).exists() or (path / IMAGES).exists():
        yield from _check_store(path)
    elif is_exported(path):
        yield _tried(path / WEIGHTS, lambda: read_exported(path))
        for file in sorted(path.glob("vectors.npz")):
            yield _tried(file, lambda file=file: _check_npz(file))
    elif (path / CONFIG).exists() or (path / CHECKPOINTS).exists():
        yield from _check_run(path)
    else:
        raise InputError(f"{path} is no store, run directory, or .npz of vectors or of a judge: give one of these")


def _tried(part: Path, verify: Callable[[], object]) -> tuple[Path, str | None]:
    try:
        verify()
    except (InputError, OSError) as error:
        return part, str(error)
    return part, None


def _check_store(path: Path) -> Iterator[tuple[Path, str | None]]:
    try:
        store = PackedStore.open(path)
    except InputError as error:
        yield path, str(error)
        return
    yield path / META, None
    yield path / LABELS, None
    yield _tried(path / IMAGES, store.verify)


def _check_run(run: Path) -> Iterator[tuple[Path, str | None]]:
    config = _tried(run / CONFIG, lambda: read_record(run))
    yield config
    steps = steps_of(run)
    if steps and config[1] is None:  # which says what the checkpoints should hold
        record, mesh = read_record(run), make_mesh()
        like = state_shapes(record.task(mesh), Hyper.of(record.config.optimizer, 1), mesh)
        with Checkpoints(run, read_only=True) as checkpoints:
            for step in steps:
                yield run / CHECKPOINTS / str(step), checkpoints.verify(step, like)
    for name in (METRICS, TIMINGS):
        if (run / name).exists():
            yield _tried(run / name, lambda name=name: _check_rows(run / name, max(steps, default=0)))
        elif steps and name == METRICS:
            yield run / name, "missing"
    for path in sorted(run.glob("*.npz")):
        yield _tried(path, lambda path=path: _check_npz(path))


def _check_rows(path: Path, last: int) -> None:
    steps = [row["step"] for row in read_rows(path)]
    if steps != sorted(steps) or max(steps, default=0) < last:
        raise InputError(f"{path} is damaged: its rows do not lead up to step {last}")


def _check_npz(path: Path) -> None:
    """Every member's checksum, those that `load` passes over too; then what it says."""
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
            judge = "about.npy" in archive.namelist()
    except (zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError, EOFError) as error:
        raise InputError(f"{path} is damaged: {error}") from None
    if bad:
        raise InputError(f"{path} is damaged: {bad} has changed")
    (Judge if judge else AttributeVectors).load(path)
