"""Breaks jvae on purpose, in earnest, and writes what happened into docs/reliability.md.

python -m faults --only kill damage
"""

import dataclasses
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# As in tests/conftest.py, before JAX is first imported, here and in the processes that are started.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from faults import damage, disk, drift, environment, hostile, kill, pairs, processes, twice
from faults.row import Row
from jvae.cli.run import run
from jvae.errors import unknown
from jvae.io.files import replacing
from jvae.runtime.provenance import commit, device, versions

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- from faults/results, by make faults -->\n", "<!-- end -->\n"


@dataclasses.dataclass(frozen=True)
class Subject:
    """One way of breaking things.

    Attributes:
      run: breaks them a number of times, in a folder.
      count: how often in the long form.
      title: in the document.
    """

    run: Callable[[int, Path], list[Row]]
    count: int
    title: str


SUBJECTS = {
    "kill": Subject(kill.run, 50, "Killed (`kill -9`), and the same command again"),
    "damage": Subject(damage.run, 50, "Damaged files"),
    "disk": Subject(disk.run, 3, "Full disks and no rights"),
    "twice": Subject(twice.run, 10, "Two at once"),
    "drift": Subject(drift.run, 20_000, "A long run"),
    "hostile": Subject(hostile.run, 16_000, "Hostile files"),
    "pairs": Subject(pairs.run, 260, "Whole files that do not belong together"),
    "environment": Subject(environment.run, 600, "The environment that a shell or a notebook sets"),
    "processes": Subject(processes.run, 10, "Several processes"),
}


def main(only: tuple[str, ...] = (), share: float = 1.0, document: bool = True) -> None:
    """Breaks jvae on purpose and says what happened. Hours on two cores, in full.

    Args:
      only: of kill, damage, disk, twice, drift, hostile, pairs, environment and processes; all, unless told.
      share: of the times each is done; 0.1 is a short look.
      document: write the results, and the tables of docs/reliability.md, when nothing was left out.
    """
    for name in only:
        if name not in SUBJECTS:
            raise unknown("subject", name, tuple(SUBJECTS))
    if len(only) == 1:
        sys.exit(1 if _one(only[0], share, document) else 0)
    failed = False
    for name in only or SUBJECTS:  # each in a process of its own: some fork, where JAX must not have threads yet
        words = ["--only", name, "--share", str(share), "--document" if document else "--no-document"]
        failed |= bool(subprocess.run([sys.executable, "-m", "faults", *words], cwd=ROOT, check=False).returncode)
    sys.exit(1 if failed else 0)


def _one(name: str, share: float, document: bool) -> int:
    """Does one subject; how much of it ended otherwise."""
    subject, began = SUBJECTS[name], time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix=f"jvae-{name}-"))
    rows = subject.run(max(1, round(subject.count * share)), folder)
    bad = sum(row.failed for row in rows)
    for row in rows:
        print(f"{row.what}: {row.times} times: {row.outcome}" + (f"; {row.failed} NOT" if row.failed else ""))
    kept = f"; what failed is in {folder}" if bad else ""
    print(f"{name}: {time.monotonic() - began:.0f} s{kept}", flush=True)
    if not bad:
        shutil.rmtree(folder, ignore_errors=True)
    if document and share >= 1:
        _write(name, rows)
    if document:
        with replacing(DOCUMENT) as part:
            part.write_text(renewed(), encoding="utf-8")
    return bad


def _write(name: str, rows: list[Row]) -> None:
    about = {"date": f"{datetime.date.today()}", "device": device(), "commit": commit(), "jax": versions()["jax"]}
    with replacing(RESULTS / f"{name}.json") as part:
        part.write_text(json.dumps(about | {"rows": [row._asdict() for row in rows]}, indent=1) + "\n")


def renewed() -> str:
    """The document with its tables renewed from the results there are."""
    before, rest = DOCUMENT.read_text(encoding="utf-8").split(BEGIN, 1)
    return before + BEGIN + markdown() + END + rest.split(END, 1)[1]


def markdown() -> str:
    """A table a subject."""
    parts = []
    for name, subject in SUBJECTS.items():
        path = RESULTS / f"{name}.json"
        if not path.is_file():
            continue
        found = json.loads(path.read_text())
        parts.append(
            f"**{subject.title}** ({found['device']}, jax {found['jax']}, commit {found['commit']}: "
            f"`python -m faults --only {name}`)\n\n"
            "| what | times | what happened | otherwise |\n|---|---|---|---|\n"
            + "".join(f"| {r['what']} | {r['times']:,} | {r['outcome']} | {r['failed']} |\n" for r in found["rows"])
        )
    return "\n" + "\n".join(parts) + "\n"


if __name__ == "__main__":
    run(main)
