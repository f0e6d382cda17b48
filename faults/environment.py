"""The environment as shells, notebooks, clusters and other people's scripts leave it: the same result, or one line.

    python -m faults --only environment

A folder in which the outcome was another stays, named by its task and variable, with what was said in wrong.txt.
"""

import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from faults import child
from faults.row import Row

EXACT, CLOSE, OTHER = "bit for bit", "to rounding", "of other random numbers"
WITHIN = 0.05  # of a loss, where rounding is another for all steps


class Variable(NamedTuple):
    """A variable, its values, and how near to the undisturbed the result must be."""

    name: str
    values: tuple[str, ...]
    near: str = EXACT


VARIABLES = (
    Variable("MPLBACKEND", ("module://matplotlib_inline.backend_inline", "module://nowhere", "TkAgg", "x", "svg")),
    Variable("JAX_PLATFORMS", ("cuda", "tpu", "cuda,cpu", "", "nonsense")),
    Variable("JAX_PLATFORM_NAME", ("gpu", "cpu")),
    Variable("JAX_ENABLE_X64", ("1", "true", "yes"), CLOSE),
    Variable("JAX_DEBUG_NANS", ("1", "x"), CLOSE),
    Variable("JAX_DEBUG_INFS", ("1",), CLOSE),
    Variable("JAX_DEFAULT_MATMUL_PRECISION", ("bfloat16", "highest", "nonsense"), CLOSE),
    Variable("JAX_DEFAULT_PRNG_IMPL", ("rbg", "unsafe_rbg"), OTHER),
    Variable("JAX_THREEFRY_PARTITIONABLE", ("0",), OTHER),
    Variable("JAX_NUMPY_RANK_PROMOTION", ("raise", "warn")),
    Variable("JAX_NUMPY_DTYPE_PROMOTION", ("strict",)),
    Variable("JAX_TRANSFER_GUARD", ("log", "disallow")),
    Variable("JAX_DISABLE_JIT", ("1",), CLOSE),
    Variable("JAX_CHECK_TRACER_LEAKS", ("1",)),
    Variable("JAX_LOG_COMPILES", ("1",)),
    Variable("JAX_TRACEBACK_FILTERING", ("off",)),
    Variable("JAX_NUM_CPU_DEVICES", ("2", "3"), CLOSE),
    Variable("JAX_ENABLE_COMPILATION_CACHE", ("false",)),
    Variable("JAX_COMPILATION_CACHE_DIR", ("", "/proc/nowhere")),
    Variable("XLA_FLAGS", ("--xla_force_host_platform_device_count=2", "--xla_backend_optimization_level=0"), CLOSE),
    Variable("LC_ALL", ("C", "POSIX", "tr_TR.UTF-8", "de_DE", "nowhere")),
    Variable("LANG", ("C", "")),
    Variable("PYTHONUTF8", ("0",)),
    Variable("PYTHONIOENCODING", ("ascii", "utf-16", "latin-1:replace")),
    Variable("PYTHONWARNINGS", ("error", "default", "ignore", "error::DeprecationWarning")),
    Variable("PYTHONOPTIMIZE", ("1", "2")),
    Variable("PYTHONDEVMODE", ("1",)),
    Variable("PYTHONHASHSEED", ("0", "4294967295")),
    Variable("PYTHONUNBUFFERED", ("1",)),
    Variable("OMP_NUM_THREADS", ("1", "0")),
    Variable("HOME", ("/nowhere", "")),
    Variable("XDG_CACHE_HOME", ("/nowhere", "relative")),
    Variable("TMPDIR", ("/nowhere",)),
    Variable("COLUMNS", ("20", "0", "x")),
    Variable("TERM", ("dumb", "nowhere")),
    Variable("NO_COLOR", ("1",)),
    Variable("FORCE_COLOR", ("1",)),
    Variable("CUDA_VISIBLE_DEVICES", ("", "7")),
    Variable("TF_CPP_MIN_LOG_LEVEL", ("0",)),
    Variable("TZ", ("nowhere", "Pacific/Kiritimati")),
    Variable("SLURM_NTASKS", ("4",)),
)  # fmt: skip


def _figure(name: str, words: str, *files: str) -> child.Task:
    patterns = tuple(f"{child.RUN}/figures/{file}" for file in files)
    return child.Task(name, words, (child.FACES, child.RUN), "", "", lambda folder: child.files(folder, patterns))


RESUME = child.Task(
    "train on", f"train demo --data {child.FACES} --out {child.RUN} {child.TINY} --loop.eval-every 6 --loop.steps 66",
    (child.FACES, child.RUN), "", "", child.run_files,
)  # fmt: skip
CHARTS = (
    _figure("posterior", f"posterior --run {child.RUN} --data {child.FACES} --count 100", "posterior*.png"),
    _figure("scores", f"scores --run {child.RUN} --data {child.FACES}", "scores*"),
    _figure("map", f"map --run {child.RUN}", "map*.png"),
)
TASKS = (*child.TASKS, RESUME, *CHARTS)


def run(count: int, folder: Path, tasks: tuple[child.Task, ...] = TASKS, only: str = "") -> list[Row]:
    """Runs `count` pairs of a task and a value of a variable, of which there are some 600, those of `only` if given."""
    whole, cache = child.prepare(folder, child.TASKS if any(task.needs for task in tasks) else tasks)
    expected = {
        task.name: task.made(whole)
        if task in child.TASKS or not task.needs
        else _undisturbed(task, folder / "undisturbed" / task.name, whole, cache)
        for task in tasks
    }
    every = [(t, v, value) for t in tasks for v in VARIABLES if only in v.name for value in v.values]
    random.Random(0).shuffle(every)
    trials = [every[i % len(every)] for i in range(count)]

    def trial(i: int) -> tuple[str, str]:
        task, variable, value = trials[i]
        place = folder / f"{task.name.replace(' ', '-')}-{variable.name}-{i}"
        how, said = _trial(task, variable, value, child.place(place, task, whole), cache, expected[task.name])
        if said:
            (place / "wrong.txt").write_text(f"{variable.name}={value}: {said}\n")
        else:
            shutil.rmtree(place)
        return how, said

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(trial, range(count)))
    rows = []
    for task in tasks:
        mine = [outcome for outcome, (its, *_) in zip(outcomes, trials, strict=True) if its is task]
        found = Counter(how for how, said in mine if not said)
        said = (
            ", ".join(f"{found[how]} {how}" for how in (EXACT, CLOSE, OTHER)) + f", {found['line']} refused in one line"
        )
        if mine:
            rows.append(Row(f"environment: {task.name}", len(mine), said, sum(bool(said) for _, said in mine)))
    return rows


def _undisturbed(task: child.Task, place: Path, whole: Path, cache: Path) -> dict[str, Any]:
    ended = child.finish(task, child.place(place, task, whole), cache)
    assert ended.status == 0, f"{task.name} fails undisturbed: {ended.errors}"
    return task.made(place)


def _trial(
    task: child.Task, variable: Variable, value: str, place: Path, cache: Path, expected: Mapping[str, Any]
) -> tuple[str, str]:
    """How it ended, and what is wrong with that; "" if nothing."""
    before = task.made(place)
    ended = child.finish(task, place, cache, environment={variable.name: value})
    found = task.made(place)
    if ended.status == 2 and len(ended.errors) == 1 and ended.errors[0].startswith("error: "):
        lost = child.difference({name: found.get(name) for name in before}, before)
        return "line", f"refused, and {lost} is another" if lost else ""
    if ended.status:
        return "failed", f"ended with {ended.status}: {ended.errors}"
    name = child.difference(found, expected)
    if not name:
        return EXACT, ""
    if variable.near == EXACT:
        return "failed", f"{name} differs"
    return variable.near, "" if _like(found, expected, variable.near) else f"{name} is far from the undisturbed"


def _like(found: Mapping[str, Any], expected: Mapping[str, Any], near: str) -> bool:
    """Whether the same files are there, with the same steps; to rounding, with losses as large."""
    if found.keys() != expected.keys():
        return False
    for name in (name for name in found if name.endswith("metrics.jsonl")):
        ours, theirs = ([json.loads(line) for line in each[name].splitlines()] for each in (found, expected))
        if [(row["step"], row["split"]) for row in ours] != [(row["step"], row["split"]) for row in theirs]:
            return False
        pairs = [(a["objective"], b["objective"]) for a, b in zip(ours, theirs, strict=True) if "objective" in a]
        if near == CLOSE and not all(abs(a - b) <= WITHIN * abs(b) for a, b in pairs):
            return False
    return True
