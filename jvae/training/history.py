"""Calls of training in; what made each run, where it stands and how it ended, out.

RUN/history.jsonl has a row when a call of training starts and one when it ends. A process that is killed writes none.
"""

import contextlib
import datetime
import json
import math
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax

from jvae.config import Config
from jvae.data.source import Store
from jvae.errors import InputError
from jvae.io.files import holder, seal
from jvae.runtime.processes import is_main
from jvae.runtime.provenance import commit, device, versions
from jvae.training.log import METRICS, read_rows, reopened
from jvae.training.run import CONFIG, LOCK, read_config, settings, steps_of

if TYPE_CHECKING:
    import pandas as pd

HISTORY = "history.jsonl"


class Call:
    """One call of training, while it goes on.

    Args:
      step: where it begins.
      path: of the history; None in a process that writes none.
    """

    def __init__(self, step: int, path: Path | None) -> None:
        self.end: dict[str, Any] = {"step": step}
        self._path = path

    def ended(self, step: int, signum: int | None = None) -> None:
        """It came to its end at `step`, or was asked by a signal to stop there."""
        how = {"state": "finished"} if signum is None else {"state": "stopped", "why": f"signal {signum}"}
        self.end = {"step": step} | how

    def failed(self, step: int, why: str) -> None:
        """It broke off at `step`."""
        self.end = {"step": step, "state": "failed", "why": why}

    def close(self) -> None:
        """Writes down how it ended, once."""
        if self._path is not None:
            _add(self._path, {"event": "end"} | self.end)
            self._path = None


@contextlib.contextmanager
def recorded(run: Path, store: Store, total: int, best: str) -> Iterator[Call]:
    """Writes down what trains in `run`, and at the end how it ended; what is raised inside ends it as failed.
    Of several processes, 0 does.

    Args:
      run: the run directory, claimed.
      store: what it trains on.
      total: steps of the whole run.
      best: the score that chooses the best checkpoint.

    Raises:
      InputError: the run was trained on other images or labels so far, or its history is damaged.
    """
    path, step = run / HISTORY, max(steps_of(run), default=0)
    if not is_main():
        yield Call(step, None)
        return
    data = {"path": str(store.path), "checksum": store.checksum, "images": len(store)}
    for row in read_rows(path):
        if step and row["event"] == "start" and row["data"]["checksum"] != data["checksum"]:
            raise InputError(
                f"{run} was trained on {row['data']['path']} with the checksum {row['data']['checksum']}, and "
                f"{store.path} has {data['checksum']}: give the same images and labels, or another --out"
            )
    reopened(path).close()  # a row that a kill cut short would spoil the next one, in its line
    _add(
        path,
        {
            "event": "start",
            "step": step,
            "command": sys.argv,
            "total": total,
            "best": best,
            "data": data,
            "commit": commit(),
            "versions": versions(),
            "devices": device(),
            "processes": jax.process_count(),
        },
    )
    call = Call(step, path)
    try:
        yield call
    except KeyboardInterrupt:
        call.end |= {"state": "stopped", "why": "interrupted"}
        raise
    except BaseException as error:
        call.failed(step, _first_line(error))
        raise
    finally:
        call.close()


def lasting_name(run: Path) -> str:
    """A name for what trains in `run`, claimed and recorded: of all calls that go on with it, and of no other run's.

    It has the directory's name and when the run began, in UTC, and of all characters letters, digits and "_.-" alone.
    """
    starts = [row for row in read_rows(run / HISTORY) if row["event"] == "start"]
    began = next((row for row in reversed(starts) if row["step"] == 0), starts[0])
    return re.sub(r"[^\w.-]", "-", f"{run.resolve().name}-{began['time'][:19]}", flags=re.ASCII)


def _add(path: Path, row: dict[str, Any]) -> None:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    with open(path, "a") as file:
        file.write(json.dumps(seal({"time": now} | row)) + "\n")


def _first_line(error: BaseException) -> str:
    return traceback.format_exception_only(error)[-1].strip().splitlines()[0]


class Account(NamedTuple):
    """What the files of a run say of it; what of them is damaged is left out.

    Attributes:
      run: its directory.
      config: of the run, or None.
      odd: why there is none: it is damaged, or of another version of jvae.
      metrics: rows of its curves.
      calls: rows of the calls of training.
      damage: what of the rows is damaged, or "".
    """

    run: Path
    config: Config | None
    odd: str
    metrics: list[dict[str, Any]]
    calls: list[dict[str, Any]]
    damage: str

    @property
    def last_start(self) -> dict[str, Any] | None:
        """The row with which the last call of training began."""
        return next((row for row in reversed(self.calls) if row["event"] == "start"), None)


def read_account(run: Path) -> Account:
    """Reads a run's files, and neither writes nor locks any."""
    config, odd, metrics, calls, damage = None, "", [], [], ""
    try:
        config = read_config(run)
    except InputError as error:
        odd = str(error)
    try:
        metrics = read_rows(run / METRICS)
        calls = read_rows(run / HISTORY)
    except InputError as error:
        damage = str(error)
    return Account(run, config, odd, metrics, calls, damage)


class Standing(NamedTuple):
    """Where a run stands.

    Attributes:
      run: its directory.
      state: "finished", "stopped" (by a signal), "failed", "killed" (it ended without a word), "training", or "unknown"
        where nothing was written down.
      why: it stopped or failed.
      step: of the last metrics.
      total: steps of the whole run; None where that is unknown.
      score: name of the score that chooses the best checkpoint.
      lowest: of it, among the validations where it is finite; NaN before the first.
      best_step: where that was.
      started: of the last call, in UTC.
      preset: of the config.
      model: its name.
      objective: its name.
    """

    run: Path
    state: str
    why: str
    step: int
    total: int | None
    score: str
    lowest: float
    best_step: int | None
    started: str
    preset: str
    model: str
    objective: str


def find_runs(folder: Path) -> list[Path]:
    """The run directories in and below `folder`, in the order of their names.

    Raises:
      InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: give one that holds runs")
    if (folder / CONFIG).is_file():
        return [folder]
    return [run for inner in sorted(folder.iterdir()) if inner.is_dir() for run in find_runs(inner)]


def standing(run: Path) -> Standing:
    """Where a run stands. What of it is damaged counts as the reason why it failed."""
    return standing_of(read_account(run), holder(run / LOCK))


def standing_of(account: Account, pid: str | None) -> Standing:
    """Where a run stands, by what its files say, and by the process that trains it, if one does."""
    known = settings(account.config) if account.config else {}
    names = {name: known.get(name, "") for name in ("preset", "model", "objective")}
    start, last = account.last_start or {}, account.calls[-1] if account.calls else {}
    if pid is not None:
        state, why = "training", f"process {pid}"
    elif account.odd or account.damage:
        state, why = "failed", account.odd or account.damage
    elif last.get("event") == "start":
        state, why = "killed", ""
    else:
        state, why = last.get("state", "unknown"), last.get("why", "")
    score = start.get("best", "objective")
    validations = (row for row in account.metrics if row["split"] == "validation")
    scored = [row for row in validations if math.isfinite(row.get(score, math.nan))]  # as of a checkpoint
    best = min(scored, key=lambda row: row[score], default=None)
    return Standing(
        account.run,
        state,
        why,
        max((row["step"] for row in account.metrics), default=0),
        start.get("total"),
        score,
        best[score] if best else math.nan,
        best["step"] if best else None,
        start.get("time", ""),
        **names,
    )


def runs_table(standings: Sequence[Standing], folder: Path) -> "pd.DataFrame":
    """A row a run; runs are named by where they lie in `folder`."""
    rows = [
        {
            "run": str(s.run.relative_to(folder)) if s.run != folder else s.run.name,
            "state": s.state,
            "step": f"{s.step} of {s.total}" if s.total else str(s.step),
            "best": f"{s.score} {s.lowest:.4g}" if s.best_step is not None else "",
            "at": "" if s.best_step is None else str(s.best_step),
            "preset": s.preset,
            "model": s.model,
            "objective": s.objective,
            "started (UTC)": s.started[:16].replace("T", " "),
            "why": s.why,
        }
        for s in standings
    ]
    import pandas as pd

    return pd.DataFrame(rows).set_index("run")
