"""What a run reports while it trains: metrics.jsonl, timings.jsonl, TensorBoard events and a tracker's; and a bar."""

import functools
import json
import math
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TextIO

from jvae.errors import InputError
from jvae.io.files import CHECKSUM, replacing, seal, unseal

METRICS = "metrics.jsonl"
TIMINGS = "timings.jsonl"


class Tracker(Protocol):
    """Where a run's curves go beside TensorBoard; `jvae.training.trackers` has them by name."""

    def log(self, values: dict[str, float], /, step: int) -> None:
        """Takes numbers, by names such as "train/loss", of a step; a step's may come in several calls.

        The steps ascend, but for those that a run that was killed and resumed does again, to the same numbers.
        """
        ...

    def finish(self) -> None:
        """Ends the curves, for this call of training; called however it ends."""
        ...


class NoTracker:
    """The tracker of a run that has none."""

    def __init__(self, *_: object) -> None:
        pass

    def log(self, values: dict[str, float], /, step: int) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""


class Log:
    """Rows of metrics, each a step and a split ("train", "validation"), to a file, to TensorBoard and to a tracker.

    What the clock says goes to a file of its own: the metrics of a run that was killed and resumed are, byte for byte,
    those of one that was not.

    Args:
      run: the run directory.
      step: where this call begins; rows of later steps, left by a run that was killed, are dropped.
      tracker: gets the numbers as well.
    """

    def __init__(self, run: Path, step: int, tracker: Tracker) -> None:
        self._file, self._times = (reopened(run / name, step) for name in (METRICS, TIMINGS))
        self._folder, self._purge_step, self._tracker = str(run / "events"), step + 1 if step else None, tracker

    @functools.cached_property
    def _events(self) -> Any:
        # opened when the first row is written: its import takes a second, which by then the device has work for
        from tensorboardX import SummaryWriter

        return SummaryWriter(self._folder, purge_step=self._purge_step)

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Adds a row."""
        self._file.write(json.dumps(seal({"step": step, "split": split, **values})) + "\n")
        self._file.flush()
        self._scalars(step, split, values)

    def write_times(self, step: int, values: Mapping[str, float]) -> None:
        """Adds a row of what the clock says, and of the time, in seconds since 1970."""
        self._times.write(json.dumps(seal({"step": step, "time": round(time.time(), 3), **values})) + "\n")
        self._times.flush()
        self._scalars(step, "train", values)

    def sync(self) -> None:
        """Waits until the rows are on the disk."""
        os.fsync(self._file.fileno())

    def _scalars(self, step: int, split: str, values: Mapping[str, float]) -> None:
        named = {f"{split}/{name}": value for name, value in values.items()}
        for name, value in named.items():
            self._events.add_scalar(name, value, step)
        self._tracker.log(named, step=step)

    def close(self) -> None:
        """Ends the files."""
        if "_events" in self.__dict__:
            self._events.close()
        self._file.close()
        self._times.close()

    def __enter__(self) -> "Log":
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes."""
        self.close()


class NoLog:
    """The log of a process that keeps none."""

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Nothing."""

    def write_times(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing."""

    def sync(self) -> None:
        """Nothing."""

    def __enter__(self) -> "NoLog":
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing."""


class Progress:
    """A bar of steps on the screen, and lines above it.

    Args:
      step: where this call begins.
      total: steps of the whole run.
      shown: whether anything is.
    """

    def __init__(self, step: int, total: int, *, shown: bool) -> None:
        from tqdm import tqdm  # here, so that the steps run where it is not installed

        self._bar = tqdm(total=total, initial=step, unit="step", disable=None if shown else True, dynamic_ncols=True)
        self._shown = shown

    def advance(self, count: int, beside: Mapping[str, str]) -> None:
        """Moves the bar by `count` steps, with `beside` behind it."""
        self._bar.set_postfix(beside, refresh=False)
        self._bar.update(count)

    def say(self, text: str) -> None:
        """Prints a line above the bar."""
        if self._shown:
            self._bar.write(text, file=sys.stderr)

    def close(self) -> None:
        """Ends the bar."""
        self._bar.close()


def reopened(path: Path, step: float = math.inf) -> TextIO:
    """The file at `path`, to add to, with its rows up to `step` alone; without a last one that was cut short.

    Raises:
      InputError: a row is damaged, see `read_rows`.
    """
    kept = [line + b"\n" for line, row in zip(_lines(path), read_rows(path), strict=True) if row["step"] <= step]
    with replacing(path) as part:
        part.write_bytes(b"".join(kept))
    return path.open("a")


def _lines(path: Path) -> list[bytes]:
    """The whole lines of a file, none if there is no file; a last one cut short, by a kill, is left out."""
    return path.read_bytes().split(b"\n")[:-1] if path.is_file() else []


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of metrics, timings or calls, without their checksums.

    A row has a checksum, by which a changed digit is found. The first rows may have none: an older jvae wrote those.

    Raises:
      InputError: one is damaged.
    """
    rows, sealed = [], False
    for i, line in enumerate(_lines(path), 1):
        try:
            row = json.loads(line)
            if sealed or CHECKSUM in row:
                row, sealed = unseal(row), True
            if not isinstance(row["step"], int):
                raise TypeError
        except (ValueError, LookupError, TypeError, RecursionError):
            raise InputError(f"{path} is damaged in line {i}: put back a copy, or delete that line") from None
        rows.append(row)
    return rows


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """The rows of a run's metrics file."""
    return read_rows(run / METRICS)
