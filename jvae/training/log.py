"""What a run reports while it trains: metrics.jsonl, TensorBoard events, a progress bar."""

import functools
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from jvae.files import replacing

METRICS = "metrics.jsonl"


class Log:
    """Rows of metrics, each a step and a split ("train", "validation"), to a file, TensorBoard and the screen.

    Args:
      run: the run directory.
      step: where this call begins; rows of later steps, left by a run that was killed, are dropped.
      total: steps of the whole run.
      progress: show a bar.
    """

    def __init__(self, run: Path, step: int, total: int, *, progress: bool = True) -> None:
        path = run / METRICS
        kept = [line for line in read_lines(path) if json.loads(line)["step"] <= step]
        with replacing(path) as part:
            part.write_text("".join(f"{line}\n" for line in kept))
        self._file = path.open("a")
        self._folder, self._purge_step = str(run / "events"), step + 1 if step else None
        self._bar = tqdm(total=total, initial=step, unit="step", disable=None if progress else True, dynamic_ncols=True)
        self._progress = progress

    @functools.cached_property
    def _events(self) -> Any:
        # opened when the first row is written: its import takes a second, which by then the device has work for
        from tensorboardX import SummaryWriter

        return SummaryWriter(self._folder, purge_step=self._purge_step)

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Adds a row."""
        self._file.write(json.dumps({"step": step, "split": split, **values}) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._events.add_scalar(f"{split}/{name}", value, step)

    def advance(self, count: int, shown: Mapping[str, str]) -> None:
        """Moves the bar by `count` steps, with `shown` behind it."""
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update(count)

    def say(self, text: str) -> None:
        """Prints a line above the bar."""
        if self._progress:
            self._bar.write(text, file=sys.stderr)

    def close(self) -> None:
        """Ends the bar and the files."""
        self._bar.close()
        if "_events" in self.__dict__:
            self._events.close()
        self._file.close()

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

    def advance(self, count: int, shown: Mapping[str, str]) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def __enter__(self) -> "NoLog":
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing."""


def read_lines(path: Path) -> list[str]:
    """The whole lines of a metrics file, none if there is no file; a last line cut short is left out."""
    if not path.is_file():
        return []
    lines = path.read_text().split("\n")
    return lines[:-1]  # what follows the last newline was never finished


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """The rows of a run's metrics file."""
    return [json.loads(line) for line in read_lines(run / METRICS)]
