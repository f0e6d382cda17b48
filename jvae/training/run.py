"""A run directory: whose it is, what config made it, which checkpoints it has."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from jvae.config import Config
from jvae.errors import InputError
from jvae.io.fields import build, read_object
from jvae.io.files import locked, replacing, seal, unseal
from jvae.runtime.processes import is_main, meet

CONFIG = "config.json"
CHECKPOINTS = "checkpoints"
DAMAGED = "damaged"
LOCK = ".lock"


def read_config(run: str | os.PathLike[str]) -> Config:
    """The config of a run directory. Raises `InputError` if it is no run, or its config is damaged."""
    path = Path(run) / CONFIG
    if not path.is_file():
        raise InputError(
            f"{run} is no run directory, it has no {CONFIG}: make one with experiments/train.py --out {run}"
        )
    try:
        fields = unseal(read_object(path.read_bytes(), "it"), older=True)
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}): put back a copy, or train anew with another --out") from None
    return build(Config, fields, str(path))


@contextlib.contextmanager
def claimed(run: Path, cfg: Config) -> Iterator[None]:
    """While entered, `run` is the directory of `cfg`, see `claim_run`, and no other process trains in it.

    Raises:
      InputError: another one does.
    """
    if run.exists() and not run.is_dir():
        raise InputError(f"{run} exists and is no run directory: give another --out")
    with locked(run / LOCK, run) if is_main() else contextlib.nullcontext():
        if is_main():
            claim_run(run, cfg)
        meet("the run is claimed")
        yield


def claim_run(run: Path, cfg: Config) -> None:
    """Makes `run` the directory of `cfg`, or checks that it already is.

    Once there is a checkpoint, the length (steps, epochs) may change from one call to the next, to train on, and so may
    what does not change the result. A run that failed before its first checkpoint may start anew with any settings.

    Raises:
      InputError: the directory holds checkpoints of another config, or files that are no run's.
    """
    free = dict.fromkeys(("steps", "epochs", "chunk_steps", "residency", "eval_every"))
    if (run / CONFIG).is_file():
        before = read_config(run)
        ours, theirs = vars(cfg) | free, vars(before) | free
        differing = [f"{k}={theirs[k]} (now {ours[k]})" for k in ours if ours[k] != theirs[k]]
        if differing and steps_of(run):
            raise InputError(f"{run} holds a run with {', '.join(differing)}: give the same settings, or another --out")
    elif run.is_dir() and any(not path.name.startswith(".") for path in run.iterdir()):  # but for what a kill left
        raise InputError(f"{run} exists and is no run directory: give another --out")
    with replacing(run / CONFIG) as part:
        part.write_text(json.dumps(seal(json.loads(cfg.to_json())), indent=1) + "\n")


def steps_of(run: Path) -> list[int]:
    """Of the checkpoints in a run directory, ascending."""
    folder = run / CHECKPOINTS
    return sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit()) if folder.is_dir() else []


def move_aside(run: Path, step: int) -> Path:
    """Moves the checkpoint of `step` to RUN/damaged, under a name that is free there."""
    (run / DAMAGED).mkdir(exist_ok=True)
    place, n = run / DAMAGED / str(step), 1
    while place.exists():
        place, n = run / DAMAGED / f"{step}-{n}", n + 1
    (run / CHECKPOINTS / str(step)).rename(place)
    return place
