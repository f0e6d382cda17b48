"""What every benchmark shares: timing in turn, and rows of results with their files."""

import dataclasses
import importlib.util
import json
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jvae.io.files import replacing
from jvae.runtime.provenance import commit, device, versions

RESULTS = Path(__file__).parent / "results"
COLLECT = "JVAE_BENCH_ROWS"  # names a file to which `write` adds its rows: how `python -m benchmarks` gathers them
TARGET = re.compile(r"(\w+) (>=|<=) ([\d.]+)")

Run = Callable[[], float | None]
"""Does the work to its end (`block_until_ready`); returns the seconds it took if it timed itself."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured case; None where unknown.

    Attributes:
      bench: the subject, "train" for bench_train.py.
      case: what of it was measured.
      device: in words.
      unit: of `ours` and `peer`: "images/s", "ms".
      ours: the median.
      peer_name: whom it is compared with; set when the peer is not installed, too.
      peer: the peer's median.
      ratio: how many times better than the peer: ours / peer for rates, peer / ours for times.
      limit_fraction: share of what the device could do (see limits.py).
      spread: the least and the most of ours.
      compile_s: seconds of the first call beyond a later one's.
      target: what must be reached, such as "ratio >= 1.5, limit_fraction >= 0.4".
      n: rounds of which `ours` is the median.
      versions: of Python and the packages.
      git: the commit, with "+" when files differ from it.
      command: that repeats the measurement.
      card: what nvidia-smi said of the GPU when the row was measured; empty without one.
      error: why there is no figure, in one line.
    """

    bench: str
    case: str
    device: str
    unit: str
    ours: float | None
    peer_name: str | None = None
    peer: float | None = None
    ratio: float | None = None
    limit_fraction: float | None = None
    spread: tuple[float, float] | None = None
    compile_s: float | None = None
    target: str | None = None
    n: int | None = None
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    git: str | None = None
    command: str = ""
    card: dict[str, str] = dataclasses.field(default_factory=dict)
    error: str | None = None

    @classmethod
    def from_json(cls, line: str) -> "Row":
        """The row that a line of a results file holds."""
        fields = json.loads(line)
        if fields.get("spread") is not None:
            fields["spread"] = tuple(fields["spread"])
        return cls(**fields)

    def to_json(self) -> str:
        """One line."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)


class Timing(NamedTuple):
    """Seconds a call: the first call beyond the median, median, least, most, and all of them in order."""

    compile_s: float
    median: float
    least: float
    most: float
    times: tuple[float, ...]

    def rates(self, amount: float) -> tuple[float, float, float]:
        """Median, least and most of `amount` a second."""
        return amount / self.median, amount / self.most, amount / self.least


def seconds(run: Run) -> float:
    """That one call takes, by its own clock where it has one."""
    start = time.perf_counter()
    own = run()
    return time.perf_counter() - start if own is None else own


def in_turn(runs: Mapping[str, Run], *, rounds: int, warm: int = 1) -> dict[str, Timing]:
    """Times several functions round by round, so that what else the machine does slows all alike.

    Args:
      runs: each does its work to the end. The order turns from round to round.
      rounds: timed calls of each.
      warm: calls before them, the first of which compiles.

    Returns:
      A `Timing` for each name.
    """
    first, times = {}, {name: [] for name in runs}
    for name, run in runs.items():
        first[name] = seconds(run)
        for _ in range(warm - 1):
            seconds(run)
    names = list(runs)
    for i in range(rounds):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            times[name].append(seconds(runs[name]))
    return {
        name: Timing(max(0.0, first[name] - (m := statistics.median(t))), m, min(t), max(t), tuple(t))
        for name, t in times.items()
    }


def measure(run: Run, *, rounds: int, warm: int = 1) -> Timing:
    """`in_turn` of one."""
    return in_turn({"": run}, rounds=rounds, warm=warm)[""]


def platform() -> str:
    """The backend in use, "cpu" or "gpu"."""
    return jax.default_backend()


def by_platform(cpu: Any, gpu: Any) -> Any:
    """What suits the backend in use: a target, a number of steps."""
    return cpu if platform() == "cpu" else gpu


def installed(package: str) -> bool:
    """Whether a peer can be imported; says how to get it when not."""
    if importlib.util.find_spec(package) is not None:
        return True
    print({"torch": "PyTorch"}.get(package, package) + " is not installed: pip install 'jvae[bench]'", flush=True)
    return False


def row(
    bench: str,
    case: str,
    unit: str,
    ours: float | None,
    *,
    peer_name: str | None = None,
    peer: float | None = None,
    higher_is_better: bool = True,
    limit_fraction: float | None = None,
    spread: tuple[float, float] | None = None,
    compile_s: float | None = None,
    target: str | None = None,
    n: int | None = None,
    command: str | None = None,
) -> Row:
    """A `Row` of this device, these versions and this commit; its ratio follows from `ours` and `peer`.

    Args:
      bench, case, unit, ours, peer_name, peer, limit_fraction, spread, compile_s, n: see `Row`.
      higher_is_better: False for times and sizes.
      target: comparisons of the row's fields with numbers, joined by commas: "ratio >= 1.5", "ours <= 2".
      command: None is the script's own command line.

    Raises:
      ValueError: a target that is not of that form.
    """
    if target is not None:
        comparisons(target)
    ratio = None
    if ours and peer:
        ratio = ours / peer if higher_is_better else peer / ours
    return Row(
        bench=bench,
        case=case,
        device=device(),
        unit=unit,
        ours=ours,
        peer_name=peer_name,
        peer=peer,
        ratio=ratio,
        limit_fraction=limit_fraction,
        spread=spread,
        compile_s=compile_s,
        target=target,
        n=n,
        versions=versions(),
        git=commit(),
        command=command or " ".join([f"python -m benchmarks.bench_{bench}", *sys.argv[1:]]),
    )


def write(rows: Iterable[Row], folder: Path = RESULTS) -> None:
    """Puts rows into results/<bench>-<platform>.jsonl, in place of those of the same bench, case and device.

    Rows of a `--quick` command go to results/quick/ instead, so that they never take the place of a full measurement.
    """
    rows = list(rows)
    for bench, quick in dict.fromkeys((r.bench, "--quick" in r.command.split()) for r in rows):
        path = (folder / "quick" if quick else folder) / f"{bench}-{platform()}.jsonl"
        new = [r for r in rows if r.bench == bench and ("--quick" in r.command.split()) == quick]
        again = {(r.case, r.device) for r in new}
        kept = [r for r in read(path) if (r.case, r.device) not in again]
        with replacing(path) as part:
            part.write_text("".join(r.to_json() + "\n" for r in [*kept, *new]), encoding="utf-8")
    if COLLECT in os.environ:
        with open(os.environ[COLLECT], "a", encoding="utf-8") as file:
            file.writelines(r.to_json() + "\n" for r in rows)


def read(path: Path) -> list[Row]:
    """The rows of a results file; none when there is no such file."""
    if not path.exists():
        return []
    return [Row.from_json(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def comparisons(target: str) -> list[tuple[str, str, float]]:
    """The parts of a target: "ratio >= 1.5" is ("ratio", ">=", 1.5)."""
    found = []
    for part in target.split(","):
        match = TARGET.fullmatch(part.strip())
        if match is None or match[1] not in Row.__dataclass_fields__:
            raise ValueError(f"target {part.strip()!r} is no comparison of a row's field, such as 'ratio >= 1.5'")
        found.append((match[1], match[2], float(match[3])))
    return found
