"""Files changed at random, given to every reader: a right result, or one line that says what is wrong.

    python -m faults.hostile --count 10000 --folder /tmp/hostile

The readers run in a child whose memory is bounded and which an alarm ends, so that a crash and a hang are seen as well.
An input that failed stays in the folder, named by its reader and number, and its traceback is in failed.jsonl.
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import traceback
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from faults.readers import BAD, READERS, Read
from faults.row import Row
from jvae.errors import LONGEST, InputError

MEMORY = 3 << 30  # bytes that reading may take beyond what the process has when it starts
SECONDS = 30  # for an input
READY = "ready"


class Outcome(NamedTuple):
    """How an input ended: "read", "refused" or "failed", and what was said."""

    reader: str
    index: int
    how: str
    said: str


def run(count: int, folder: Path, seed: int = 0, only: str = "") -> list[Row]:
    """Gives the readers, or one, `count` inputs in all; a row a reader. What failed stays in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    readers = {name: reader for name, reader in READERS.items() if only in ("", name)}
    shares = sum(reader.share for reader in readers.values())
    plan = [(name, i) for name, r in readers.items() for i in range(max(2, round(count * r.share / shares)))]
    found = outcomes(plan, folder, seed)
    rows = []
    for name in readers:
        how = Counter(o.how for o in found if o.reader == name)
        said = f"{how['read']:,} read, {how['refused']:,} refused in one line"
        rows.append(Row(f"{name} changed at random", how.total(), said, how["failed"]))
    return rows


def outcomes(plan: list[tuple[str, int]], folder: Path, seed: int, seconds: int = SECONDS) -> list[Outcome]:
    """The outcomes of some inputs, in order; a child that dies is replaced by one that goes on after what killed it."""
    found: list[Outcome] = []
    while len(found) < len(plan):
        todo = plan[len(found) :]
        with open(folder / "child.txt", "w+") as errors:
            command = [sys.executable, "-m", "faults.hostile", f"--child={seconds}"]
            command += [f"--folder={folder}", f"--seed={seed}"]
            done = subprocess.run(command, input=json.dumps(todo), stdout=subprocess.PIPE, stderr=errors, text=True)
            errors.seek(0)
            lines = done.stdout.splitlines()
            if READY not in lines:
                raise RuntimeError(f"the readers do not start: {errors.read()[-2000:]}")
            new = [Outcome(*json.loads(line)) for line in lines[lines.index(READY) + 1 :]]
            if len(new) < len(todo):
                name, index = todo[len(new)]
                how = signal.Signals(-done.returncode).name if done.returncode < 0 else f"status {done.returncode}"
                new.append(Outcome(name, index, "failed", f"the process ended by {how}: {errors.read()[-2000:]}"))
                (folder / "input").rename(folder / f"{name}-{index}".replace(" ", "-"))
        found += new
    with open(folder / "failed.jsonl", "a") as file:
        file.writelines(json.dumps(o) + "\n" for o in found if o.how == "failed")
    return found


def _child(folder: Path, seed: int, seconds: int) -> None:
    """Reads a plan from standard input; writes a line an outcome."""
    plan, answers = json.load(sys.stdin), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # for what libraries print
    work = folder / "work"
    readers = READERS | BAD
    shutil.rmtree(work, ignore_errors=True)  # of a child that died
    work.mkdir()
    ready = {name: readers[name].prepare(work / name.replace(" ", "-")) for name in {name for name, _ in plan}}
    for seeds, read in ready.values():
        for data in seeds:
            read(data)  # what is valid must be read, or the rest says nothing
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    print(READY, file=answers, flush=True)
    for name, index in plan:
        seeds, read = ready[name]
        data = readers[name].change(random.Random(f"{seed} {name} {index}"), seeds)
        (folder / "input").write_bytes(data)
        before = {*os.listdir(folder), *os.listdir(work)}
        signal.alarm(seconds)  # whose default action ends the process, in whichever code it is
        outcome = _outcome(name, index, read, data)
        signal.alarm(0)
        if outside := {*os.listdir(folder), *os.listdir(work)} - before:
            outcome = Outcome(name, index, "failed", f"it made {sorted(outside)}")
        if outcome.how == "failed":
            (folder / f"{name}-{index}".replace(" ", "-")).write_bytes(data)
        print(json.dumps(outcome), file=answers, flush=True)
    os._exit(0)  # without what threads of libraries do at the end


def _outcome(name: str, index: int, read: Read, data: bytes) -> Outcome:
    try:
        read(data)
    except InputError as error:
        text = str(error)
        if not text.isprintable() or not 0 < len(text) <= LONGEST:
            return Outcome(name, index, "failed", f"said {text[:2000]!r}")
        return Outcome(name, index, "refused", text)
    except OSError as error:
        if error.errno:  # the system's own, which names the file
            return Outcome(name, index, "refused", str(error))
        return Outcome(name, index, "failed", traceback.format_exc())
    except BaseException:
        return Outcome(name, index, "failed", traceback.format_exc())
    return Outcome(name, index, "read", "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", default="", choices=sorted(READERS))
    parser.add_argument("--child", type=int, metavar="SECONDS", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        _child(args.folder, args.seed, args.child)
    for row in run(args.count, args.folder, args.seed, args.reader):
        print(row)


if __name__ == "__main__":
    main()
