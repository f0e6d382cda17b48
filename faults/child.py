"""The commands as child processes, on a tiny store and a tiny run, and what they leave behind."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jvae.training.run import CHECKPOINTS, steps_of

ROOT = Path(__file__).parents[1]
FACES, RUN, SWEPT = "faces", "run", "swept"  # in the folder in which a command runs
TINY = "--model.widths 4 4 --model.latent-dim 4 --loop.batch-size 8 --loop.chunk-steps 3 --loop.steps 60"


class Task(NamedTuple):
    """A command that writes something.

    Attributes:
      name: what it does.
      words: of the command line, after `jvae`.
      needs: of FACES and RUN, what must be in the folder.
      begun: a pattern of the first thing it writes.
      writing: a pattern of what is there only while it writes.
      made: what it leaves, by name, in the folder.
    """

    name: str
    words: str
    needs: tuple[str, ...]
    begun: str
    writing: str
    made: Callable[[Path], dict[str, Any]]


def start(
    task: Task, folder: Path, cache: Path, environment: Mapping[str, str] | None = None, **options: Any
) -> subprocess.Popen[str]:
    """Starts the task in `folder`, its compiled programs kept in `cache`, with options of `subprocess.Popen`."""
    env = os.environ | {
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        **(environment or {}),
    }
    command = [sys.executable, "-m", "jvae", *task.words.split()]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=env, text=True, stdout=pipe, stderr=pipe, **options)


class Ended(NamedTuple):
    """A child's exit status and what it wrote to stderr, progress bars and compiler's notes left out."""

    status: int
    errors: list[str]


def end(process: subprocess.Popen[str]) -> Ended:
    """Waits for a child; one that hangs is killed."""
    try:
        _, errors = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        process.kill()
        _, errors = process.communicate()
    return Ended(process.returncode, [line for line in errors.splitlines() if line.startswith(("error", "Traceback"))])


def finish(task: Task, folder: Path, cache: Path, **options: Any) -> Ended:
    """Runs the task to its end."""
    return end(start(task, folder, cache, **options))


def place(folder: Path, task: Task, whole: Path) -> Path:
    """A new folder with copies of what the task needs, from `whole`."""
    folder.mkdir(parents=True)
    for name in task.needs:
        shutil.copytree(whole / name, folder / name)
    return folder


def equip(folder: Path, task: Task, whole: Path) -> Path:
    """As `place`, without what the task makes."""
    for name in task.made(place(folder, task, whole)):
        (folder / name).unlink()
    return folder


def files(folder: Path, patterns: tuple[str, ...]) -> dict[str, Any]:
    """The bytes of the files in `folder` that match, by name, and of hidden ones, of which there should be none."""
    found = {path for pattern in (*patterns, ".*", f"{RUN}/.*", f"{RUN}/figures/.*") for path in folder.glob(pattern)}
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in sorted(found)}


def run_files(folder: Path, run: str = RUN) -> dict[str, Any]:
    """What a training leaves: config, metrics, pictures, and of each checkpoint the checksums of all its arrays."""
    found = files(folder, (f"{run}/config.json", f"{run}/metrics.jsonl", f"{run}/figures/step-*", f"{run}/damaged"))
    for step in steps_of(folder / run):
        record = folder / run / CHECKPOINTS / str(step) / "record" / "metadata"
        found[f"checkpoint {step} of {run}"] = json.loads(record.read_text())
    return found


def swept_files(folder: Path) -> dict[str, Any]:
    """What a sweep leaves: each of its runs, and how they ended."""
    runs = [f"{SWEPT}/{config.parent.name}" for config in sorted((folder / SWEPT).glob("*/config.json"))]
    return {k: v for run in runs for k, v in run_files(folder, run).items()} | files(folder, (f"{SWEPT}/*.json",))


def difference(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """The first name that is not in both with the same content; "" if there is none."""
    return next((n for n in sorted({*found, *expected}) if found.get(n, "") != expected.get(n, "")), "")


PACK = Task(
    "pack", f"pack rendered --count 1500 --size 16 --out {FACES}", (), ".*", ".*.part/*.csv",
    lambda folder: files(folder, (f"{FACES}/*",)),
)  # fmt: skip
TRAIN = Task(
    "train", f"train demo --data {FACES} --out {RUN} {TINY} --loop.eval-every 6", (FACES,), f"{RUN}/config.json",
    f"{RUN}/checkpoints/*tmp*", run_files,
)  # fmt: skip
SWEEP = Task(
    "sweep", f"sweep demo --data {FACES} --out {SWEPT} {TINY} --loop.eval-every 6 --vary seed=0,1 beta=1,4", (FACES,),
    f"{SWEPT}/*/config.json", f"{SWEPT}/*/checkpoints/*tmp*", swept_files,
)  # fmt: skip
VECTORS = Task(
    "attribute vectors", f"vectors --data {FACES} --run {RUN}", (FACES, RUN), "", f"{RUN}/.*.part",
    lambda folder: files(folder, (f"{RUN}/vectors.npz",)),
)  # fmt: skip
FIGURE = Task(
    "a figure", f"sample --run {RUN} --out {RUN}/figures/samples.png", (RUN,), "", f"{RUN}/figures/.*.part",
    lambda folder: files(folder, (f"{RUN}/figures/samples.png",)),
)  # fmt: skip
TASKS = (PACK, TRAIN, VECTORS, FIGURE)


def prepare(folder: Path, tasks: tuple[Task, ...] = TASKS) -> tuple[Path, Path]:
    """Undisturbed results of the tasks, and the compilation cache they have filled: two folders in `folder`."""
    whole, cache = folder / "whole", folder / "cache"
    whole.mkdir(parents=True)
    for task in tasks:
        ended = finish(task, whole, cache)
        assert ended.status == 0, f"{task.name} fails undisturbed: {ended.errors}"
    return whole, cache
