"""The files of a run in, of this machine or of another's disk; how its training goes, in lines of text, out.

They are read and no more: a lock that is looked at when training starts would be in its way.
"""

import contextlib
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jvae.errors import InputError
from jvae.render.terminal import Curve, bars, chart
from jvae.training.history import HISTORY, Account, Standing, read_account, standing_of
from jvae.training.log import METRICS, TIMINGS, read_rows
from jvae.training.run import CONFIG

PATIENCE = 300  # seconds of silence after which a run counts as dead, at least: a far disk may show rows a minute late
STARTING = 900  # the same before there are two rows, while it compiles
ROUNDS = 20  # the same, in times that its longest row took
HEIGHT = 14  # lines of a chart
BARS = 20  # letters of a small one
GOES_ON = "the same command goes on"


class Glance(NamedTuple):
    """How a run goes, at one moment.

    Attributes:
      at: where it stands: "training" while no end is written down, and "killed" where it has been silent for too long.
      line: the training curve.
      name: of its values.
      marks: the validations, by the score that chooses the best checkpoint.
      steps_per_s: validations included, where the time was written down; None before the first rows.
      quiet: seconds since it last wrote.
    """

    at: Standing
    line: Curve
    name: str
    marks: Curve
    steps_per_s: float | None
    quiet: float

    @property
    def over(self) -> bool:
        """Whether nothing more is to come."""
        return self.at.state != "training"

    @property
    def left(self) -> str:
        """How long it still takes; "" where that is not known, or it is over."""
        if self.over or not self.steps_per_s or not self.at.total:
            return ""
        return f"{spoken((self.at.total - self.at.step) / self.steps_per_s)} left"

    @property
    def progress(self) -> str:
        """How far it is, how fast, and how long it still takes."""
        step, total = self.at.step, self.at.total
        done = f"step {step:,} of {total:,} ({step / total:.0%})" if total else f"step {step:,}"
        speed = f"{self.steps_per_s:.3g} steps/s" if self.steps_per_s else ""
        return ", ".join(filter(None, (done, speed, self.left)))

    @property
    def best(self) -> str:
        """The best checkpoint."""
        at = self.at
        if at.best_step is None:
            return "no validation yet"
        return f"best checkpoint: {at.score} {at.lowest:.5g}, of step {at.best_step:,}"

    @property
    def state(self) -> str:
        """Whether it goes on, and why it does not."""
        at = self.at
        return {
            "training": f"training, last row {spoken(self.quiet)} ago",
            "killed": f"no word for {spoken(self.quiet)}: it was killed, or hangs; {GOES_ON}",
            "stopped": f"stopped ({at.why}); {GOES_ON}",
            "failed": f"failed: {at.why}",
        }.get(at.state, at.state)


def glance(run: Path) -> Glance:
    """How a run goes. Damaged rows count as the reason why it failed; its config may be of another version of jvae."""
    account, times = read_account(run), []
    with contextlib.suppress(InputError):  # which costs the pace, and no more
        times = [row for row in read_rows(run / TIMINGS) if row["step"] > (account.last_start or {"step": 0})["step"]]
    files = [path for name in (METRICS, TIMINGS, HISTORY, CONFIG) if (path := run / name).exists()]
    quiet = max(time.time() - max((path.stat().st_mtime for path in files), default=0.0), 0.0)
    at = standing_of(account._replace(odd=""), None)
    if at.state in ("killed", "unknown") and quiet < _patience(times):
        at = at._replace(state="training")
    train, validations = ([row for row in account.metrics if row["split"] == s] for s in ("train", "validation"))
    name = at.score if all(at.score in row for row in train) else "loss"
    return Glance(at, _curve(train, name), name, _curve(validations, at.score), _pace(account, times), quiet)


def _curve(rows: Sequence[dict[str, Any]], name: str) -> Curve:
    found = [(row["step"], row[name]) for row in rows if name in row]
    return [step for step, _ in found], [value for _, value in found]


def _patience(times: Sequence[dict[str, Any]]) -> float:
    """Seconds of silence, after rows of these times, that say that a run is dead."""
    clock = [row["time"] for row in times if "time" in row]
    longest = max((now - before for before, now in itertools.pairwise(clock)), default=None)
    return STARTING if longest is None else max(PATIENCE, ROUNDS * longest)


def _pace(account: Account, times: Sequence[dict[str, Any]]) -> float | None:
    """Steps a second, in the latter half of the rows."""
    recent = times[len(times) // 2 :]
    clock = [row for row in recent if "time" in row]
    if len(clock) > 1 and (seconds := clock[-1]["time"] - clock[0]["time"]) > 0:
        return (clock[-1]["step"] - clock[0]["step"]) / seconds
    if not recent or account.config is None:
        return None
    return sum(row["images_per_s"] for row in recent) / len(recent) / account.config.loop.batch_size


def picture(found: Glance, width: int, height: int) -> list[str]:
    """The curve of a run, and how it goes: lines for a terminal with places for `width` letters in `height` lines."""
    at = found.at
    made = " ".join(filter(None, (at.preset, at.model, at.objective)))
    drawn = chart(found.line, found.marks, width=width, height=min(HEIGHT, height - 5))
    legend = [f"{found.name} as a line, {at.score} of validations as dots"] if drawn else []
    return [f"{at.run}: {made}" if made else str(at.run), *legend, *drawn, found.progress, found.best, found.state]


def pictures(found: Sequence[Glance], folder: Path) -> list[str]:
    """How many runs of a folder go: a line for each."""
    lines = [f"{len(found)} runs in {folder}, {sum(not each.over for each in found)} of them training"]
    rows = []
    for each in found:
        at = each.at
        share = f"{at.step / at.total:.0%}" if at.total else f"{at.step:,}"
        best = "" if at.best_step is None else f"{at.score} {at.lowest:.5g}"
        name = str(at.run.relative_to(folder))
        rows.append((name, bars(each.line[1], BARS), share, each.left or at.state, best, at.why))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return lines + ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def news(found: Glance, since: int) -> list[str]:
    """The validations after step `since`, in a line each."""
    train = dict(zip(*found.line, strict=True))
    lines = []
    for step, score in zip(*found.marks, strict=True):
        if step > since:
            beside = f", {found.name} in training {train[step]:.5g}" if step in train else ""
            lines.append(f"step {step:,}: {found.at.score} {score:.5g}{beside}")
    return lines


def spoken(seconds: float) -> str:
    """A time in words of at most two units, such as "2 min 5 s"."""
    s = round(seconds)
    for unit, smaller, length, part in (("d", "h", 86400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if s >= length:
            return f"{s // length} {unit} {s % length // part} {smaller}"
    return f"{s} s"
