"""A run directory: whose it is, what config made it, which checkpoints it has."""

import contextlib
import dataclasses
import importlib.metadata
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jax.sharding import Mesh

from jvae.config import PARTS, Config, LoopConfig, OptimizerConfig
from jvae.data.source import DataId
from jvae.errors import InputError, damaged
from jvae.io.fields import build, read_object
from jvae.io.files import locked, replacing, seal, unseal
from jvae.models.registry import MODELS
from jvae.registry import find, name_of
from jvae.runtime.mesh import compute_dtype
from jvae.runtime.processes import is_main, meet
from jvae.training.tasks import TASKS

CONFIG = "config.json"
CHECKPOINTS = "checkpoints"
DAMAGED = "damaged"
LATER = "later"
LOCK = ".lock"
FORMAT = 2  # of CONFIG; raised when what an older jvae wrote can no longer be read
FREE = ("steps", "epochs", "chunk_steps", "residency", "eval_every")  # may change from one call to the next


class Record(NamedTuple):
    """What a run directory says of the run.

    Attributes:
      config: of the run.
      labels: the attributes that its task learns from; none for most.
      data: the store that it was trained on; None where an older jvae or a store did not say.
      judge: digest of the judge that its objective learns from; "" where there is none, or an older jvae did not say.
    """

    config: Config
    labels: tuple[str, ...] = ()
    data: DataId | None = None
    judge: str = ""

    def task(self, mesh: Mesh) -> Any:
        """The run's `Task`, not prepared: it says how its variables are laid out."""
        return self.config.objective.task(self.config.model, self.labels, compute_dtype(self.config.loop.dtype, mesh))


def to_fields(cfg: Config) -> dict[str, Any]:
    """A config as JSON's values, its model and objective by name."""
    fields = json.loads(json.dumps(dataclasses.asdict(cfg)))  # tuples as lists, as they will be read
    fields["model"] = {"name": name_of(MODELS, type(cfg.model)), **fields["model"]}
    fields["objective"] = {"name": name_of(TASKS, type(cfg.objective)), **fields["objective"]}
    return fields


def from_fields(fields: dict[str, Any], what: str) -> Config:
    """The config that `to_fields` gave.

    Args:
      fields: JSON's values.
      what: to call it in an error.

    Raises:
      InputError: it is none, or names a model or an objective that is not registered.
    """
    parts: dict[str, Any] = {}
    for name in PARTS:
        if not isinstance(fields.get(name), dict):
            raise damaged(what, f"it has no {name}")
        values = dict(fields[name])
        if name in ("model", "objective"):
            try:
                cls = find(name, MODELS if name == "model" else TASKS, str(values.pop("name", "")))
            except InputError as error:
                raise InputError(f"{what}: {error}; one of your own needs its line in the registry") from None
        else:
            cls = LoopConfig if name == "loop" else OptimizerConfig
        parts[name] = build(cls, values, f"{name} in {what}")
    rest = build(_Rest, {name: value for name, value in fields.items() if name not in parts}, what)
    return Config(**parts, seed=rest.seed, preset=rest.preset)


@dataclasses.dataclass(frozen=True)
class _Rest:
    """What a config has beside its parts."""

    seed: int
    preset: str


def read_record(run: str | os.PathLike[str]) -> Record:
    """What a run directory says of the run.

    Raises:
      InputError: it is no run directory, an older or a newer jvae wrote it, or its config is damaged.
    """
    path = Path(run) / CONFIG
    if not path.is_file():
        raise InputError(f"{run} is no run directory, it has no {CONFIG}: make one with jvae train --out {run}")

    def damage(error: ValueError) -> InputError:
        return InputError(f"{path} is damaged ({error}): put back a copy, or train anew with another --out")

    try:
        fields = read_object(path.read_bytes(), "it")
    except ValueError as error:
        raise damage(error) from None
    version, form = str(fields.get("version", "0.1")), fields.get("format", 1)
    if form != FORMAT:
        way = "train anew with another --out" if isinstance(form, int) and form < FORMAT else "update jvae"
        raise InputError(f"{run} was written by jvae {version}, whose runs this version does not read: {way}")
    try:
        fields = unseal(fields)
    except ValueError as error:
        raise damage(error) from None
    return record_of(fields, str(path))


def record_of(fields: dict[str, Any], what: str) -> Record:
    """The record that `record_fields` gave.

    Args:
      fields: JSON's values.
      what: to call it in an error.

    Raises:
      InputError: it is none, see `from_fields`.
    """
    fields = {name: value for name, value in fields.items() if name not in ("version", "format")}
    labels = fields.pop("labels", None)
    if not isinstance(labels, list) or not all(isinstance(name, str) for name in labels):
        raise damaged(what, "its labels are no list of names")
    data = fields.pop("data", None)
    if data is not None:
        if not isinstance(data, dict):
            raise damaged(what, "its data is no object")
        data = build(DataId, data, f"data in {what}")
    judge = fields.pop("judge", "")
    if not isinstance(judge, str):
        raise damaged(what, "its judge is no digest")
    return Record(from_fields(fields, what), tuple(labels), data, judge)


def record_fields(record: Record, form: Any) -> dict[str, Any]:
    """A record as JSON's values, and of what format they are."""
    about = {"version": importlib.metadata.version("jvae"), "format": form, "labels": list(record.labels)}
    if record.data is not None:
        about["data"] = dataclasses.asdict(record.data)
    if record.judge:
        about["judge"] = record.judge
    return about | to_fields(record.config)


def read_config(run: str | os.PathLike[str]) -> Config:
    """The config of a run directory. Raises `InputError` as `read_record`."""
    return read_record(run).config


@contextlib.contextmanager
def claimed(run: Path, record: Record) -> Iterator[None]:
    """While entered, `run` is the directory of `record`, see `claim_run`, and no other process trains in it.

    Raises:
      InputError: another one does.
    """
    if run.exists() and not run.is_dir():
        raise InputError(f"{run} exists and is no run directory: give another --out")
    with locked(run / LOCK, run) if is_main() else contextlib.nullcontext():
        if is_main():
            claim_run(run, record)
        meet("the run is claimed")
        yield


def claim_run(run: Path, record: Record) -> None:
    """Makes `run` the directory of `record`, or checks that it already is.

    Once there is a checkpoint, the length (steps, epochs) may change from one call to the next, to train on, and so may
    what does not change the result. A run that failed before its first checkpoint may start anew with any settings.

    Raises:
      InputError: the directory holds checkpoints of another config or of another judge, or files that are no run's.
    """
    if (run / CONFIG).is_file():
        before = read_record(run)
        ours, theirs = _lasting(record), _lasting(before)
        if before.judge and record.judge:  # by what it is, wherever its file lies
            for found, each in ((ours, record), (theirs, before)):
                path = found.pop("judge", None)
                found["judge"] = each.judge if before.judge == record.judge else f"{path} of the digest {each.judge}"
        differing = [f"{k}={theirs.get(k)} (now {v})" for k, v in ours.items() if v != theirs.get(k)]
        was, now = before.data, record.data
        if was and now and was.checksum == now.checksum and was.crop != now.crop:
            differing.append(f"crop={was.crop} (now {now.crop})")
        if differing and steps_of(run):
            raise InputError(f"{run} holds a run with {', '.join(differing)}: give the same settings, or another --out")
        if was and now and was.checksum != now.checksum and steps_of(run):
            raise InputError(
                f"{run} was trained on {was.source} with the checksum {was.checksum}, and the store that is given "
                f"({now.source}) has {now.checksum}: give the same images and labels, or another --out"
            )
        if steps_of(run):
            record = record._replace(data=was, judge=before.judge)
    elif run.is_dir() and any(not path.name.startswith(".") for path in run.iterdir()):  # but for what a kill left
        raise InputError(f"{run} exists and is no run directory: give another --out")
    with replacing(run / CONFIG) as part:
        part.write_text(json.dumps(seal(record_fields(record, FORMAT)), indent=1) + "\n")


def settings(cfg: Config) -> dict[str, Any]:
    """Every setting by its name, the model and the objective by theirs.

    Where two parts have a setting of one name, the later one's has its part before it: "objective.dropout".
    """
    found: dict[str, Any] = {}
    for name, value in to_fields(cfg).items():
        if name in PARTS:
            for key, item in value.items():
                found[name if key == "name" else f"{name}.{key}" if key in found else key] = item
        else:
            found[name] = value
    return found


def _lasting(record: Record) -> dict[str, Any]:
    """What may not change once there is a checkpoint, by name."""
    return {k: v for k, v in settings(record.config).items() if k not in FREE} | {"labels": record.labels}


def steps_of(run: Path) -> list[int]:
    """Of the checkpoints in a run directory, ascending."""
    folder = run / CHECKPOINTS
    return sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit()) if folder.is_dir() else []


def move_aside(run: Path, step: int, to: str = DAMAGED) -> Path:
    """Moves the checkpoint of `step` to the folder `to` of the run, under a name that is free there."""
    (run / to).mkdir(exist_ok=True)
    aside, n = run / to / str(step), 1
    while aside.exists():
        aside, n = run / to / f"{step}-{n}", n + 1
    (run / CHECKPOINTS / str(step)).rename(aside)
    return aside
