"""The first minutes with a GPU: rows in the order of their importance, each written as soon as it is measured.

    python -m benchmarks --gpu --minutes 9

A row that is not likely to end in the time that is left is not begun, and the same command, on the same commit and the
same card, goes on where the last one ended. Rows are measured by a process of their own (gpu_rows.py), which is ended
and begun anew when one fails or hangs. Of packages this needs jax, flax, optax, orbax, numpy, pandas and Pillow, and
for the comparison PyTorch.
"""

import argparse
import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import table, timing
from benchmarks.gpu_subjects import idle_flags, projection, subjects
from benchmarks.timing import Row
from jvae.errors import InputError
from jvae.runtime.provenance import commit

FACTS = ("name", "driver_version", "clocks.sm", "clocks.mem", "power.limit", "power.draw", "memory.total")
FACTS += ("temperature.gpu",)
START = [sys.executable, "-m", "benchmarks.gpu_rows"]
ROOT = Path(__file__).parent.parent


def card() -> dict[str, str]:
    """What nvidia-smi says of the GPU; empty where there is none."""
    which = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    command = ["nvidia-smi", f"--query-gpu={','.join(FACTS)}", "--format=csv,noheader", "-i", which]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(zip(FACTS, map(str.strip, said.splitlines()[0].split(",")), strict=False)) if said else {}


class Late(Exception):
    """A row was not there in time."""


class Worker:
    """The process that measures; it is started when it is first asked, and anew after it was ended.

    Args:
      command: that starts it.
      env: its environment.
    """

    def __init__(self, command: Sequence[str], env: dict[str, str]) -> None:
        self._command, self._env = command, env
        self._process: subprocess.Popen[str] | None = None

    def ask(self, spec: dict[str, Any], seconds: float) -> Row:
        """The row of a spec; one with an error where the process ended.

        Raises:
          Late: no answer within `seconds`; the process, and those that it started, are ended.
        """
        if self._process is None:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,  # so that what it starts can be ended with it
            )
        assert self._process.stdin and self._process.stdout
        try:
            print(json.dumps(spec), file=self._process.stdin, flush=True)
            if not select.select([self._process.stdout], [], [], seconds)[0]:
                raise Late
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        except Late:
            self.end()
            raise
        if not line:
            status = self._process.wait()
            self.end()
            return failed(spec["case"], f"the process ended with status {status}")
        row = Row.from_json(line)
        if row.ours is None:  # what it holds of the device's memory is in doubt
            self.end()
        return row

    def end(self) -> None:
        """Ends the process and all that it started."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._process.communicate()
            self._process = None


def failed(case: str, error: str) -> Row:
    """A row without a figure."""
    return Row(bench="gpu", case=case, device="", unit="", ours=None, error=error)


def there(path: Path) -> list[Row]:
    """The rows of a file; a last one that was cut is taken off it."""
    if path.exists():
        whole, end, cut = path.read_text(encoding="utf-8").rpartition("\n")
        if cut:
            path.write_text(whole + end, encoding="utf-8")
    return timing.read(path)


def fill(path: Path, worker: Worker, *, deadline: float, smallest: bool, git: str | None, facts: dict[str, str]) -> int:
    """Measures what is not in the file, and adds each row to it at once; rows that failed before come last.

    Args:
      path: of the file.
      worker: measures.
      deadline: by `time.monotonic`.
      smallest: the smallest shape of everything.
      git: commit.
      facts: of the card.

    Returns:
      How many rows were not begun, or not done when the time was over.
    """
    name = facts.get("name")
    rows = [r for r in there(path) if r.git == git and r.card.get("name") == name]
    done, tried = {r.case for r in rows if r.ours is not None}, {r.case for r in rows}
    todo = [subject for subject in subjects(smallest) if subject.case not in done]
    todo.sort(key=lambda subject: subject.case in tried)
    took: dict[str, float] = {}
    left, options = 0, " ".join(sys.argv[1:])
    for subject in todo:
        expected = took.get(subject.kind, subject.seconds)
        remaining = deadline - time.monotonic()
        if expected >= remaining:
            left += subject.kind != "projection"
            continue
        began = time.monotonic()
        if subject.kind == "projection":
            row = projection(rows)
            if row is None or row.case in done:
                continue
        elif subject.spec.get("flags") and subject.spec["flags"] in idle_flags():
            print(f"{subject.case}: this jaxlib has no such flag, or has it so", flush=True)
            continue
        else:
            patience = 60 + 4 * expected
            spec = subject.spec | {"case": subject.case, "kind": subject.kind, "smallest": smallest}
            try:
                row = worker.ask(spec | {"rounds": 1 if smallest else 7}, min(patience, remaining))
            except Late:
                if patience > remaining:  # our time is over, which says nothing against the row
                    left += 1
                    continue
                row = failed(subject.case, f"not done after {patience:.0f} s")
            if row.ours is not None:
                took[subject.kind] = max(took.get(subject.kind, 0), time.monotonic() - began)
        row = dataclasses.replace(
            row,
            device=row.device or name or "",
            git=git,
            card=card() if facts else {},
            command=f"python -m benchmarks {options}",
        )
        rows.append(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(row.to_json() + "\n")
            file.flush()
            os.fsync(file.fileno())
        print(said(row), flush=True)
    return left


def said(row: Row) -> str:
    """A row in one line."""
    words = [f"{row.ours:.4g} {row.unit}"] if row.ours is not None else []
    if row.ratio is not None:
        words.append(f"{row.ratio:.2f} x as good as {row.peer_name}")
    if row.limit_fraction is not None:
        words.append(f"{100 * row.limit_fraction:.0f} % of the limit")
    return f"{row.case}: {', '.join([*words, *([row.error] if row.error else [])])}"


def main(words: Sequence[str]) -> None:
    """The command.

    Raises:
      InputError: minutes below 0, or no GPU.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks --gpu", description="The first minutes with a GPU; see benchmarks/gpu.py."
    )
    parser.add_argument("--gpu", action="store_true", required=True, help="this command, and none of the others")
    parser.add_argument(
        "--minutes", type=float, default=9, help="no row begins that is likely to end after them (%(default)s)"
    )
    parser.add_argument("--platform", default="cuda", help="JAX's name of what to run on (%(default)s)")
    parser.add_argument("--smallest", action="store_true", help="figures that mean nothing, to try the command out")
    parser.add_argument("--rows", type=Path, help="file of the rows (benchmarks/results/gpu.jsonl)")
    parser.add_argument("--commit", help="commit of a copy without git")
    args = parser.parse_args(words)
    deadline = time.monotonic() + 60 * args.minutes
    if not args.minutes >= 0:
        raise InputError(f"minutes={args.minutes}: must be 0 or more")
    facts = card() if args.platform == "cuda" else {}
    if args.platform == "cuda" and not facts:
        raise InputError("nvidia-smi finds no GPU: give --platform cpu --smallest to try the command without one")
    here = args.platform != "cpu" and not args.smallest and args.rows is None
    path = args.rows or (timing.RESULTS if here else timing.RESULTS / "quick") / "gpu.jsonl"
    env = os.environ | {"JAX_PLATFORMS": args.platform if args.platform == "cpu" else f"{args.platform},cpu"}
    env.setdefault("CUDA_VISIBLE_DEVICES", "0")  # one, as PyTorch takes
    env.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # two processes share its memory
    worker = Worker(START, env)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of `end`
    try:
        left = fill(path, worker, deadline=deadline, smallest=args.smallest, git=args.commit or commit(), facts=facts)
    finally:
        worker.end()
        signal.signal(signal.SIGTERM, before)
    if here:
        table.renew()
    print(
        f"{path}: {left} rows are left, for the same command to go on with" if left else f"{path}: all rows are there"
    )
