"""Every benchmark, each in a process of its own, and one table of what they found.

python -m benchmarks --quick
python -m benchmarks --gpu --minutes 9  # what a GPU is asked first: see gpu.py
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import gpu, table, timing
from jvae.cli.run import plainly, run
from jvae.errors import InputError, unknown

HERE = Path(__file__).parent


TAKE_FACES = ("recipe", "precision")


def main(quick: bool = False, only: tuple[str, ...] = (), path: Path | None = None) -> None:
    """Runs the benchmarks, writes benchmarks/results/ and the tables of docs/benchmarks.md, and prints one table.

    With --gpu, what a GPU is asked in its first minutes: see `python -m benchmarks --gpu --help`.

    Args:
      quick: fewer and shorter rounds: three minutes in all on two cores. Its rows go to benchmarks/results/quick/.
      only: names such as train and grid; all of them when there is none.
      path: a packed store of 64x64 images for recipe and precision, which are left out without.
    """
    names = tuple(sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py")))
    for name in only:
        if name not in names:
            raise unknown("benchmark", name, names)
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        collected = Path(folder) / "rows.jsonl"
        for name in only or names:
            print(f"== {name}", flush=True)
            start = time.perf_counter()
            options = ["--quick"] if quick else []
            if path is not None and name in TAKE_FACES:
                options += ["--path", str(path)]
            done = subprocess.run(
                [sys.executable, "-m", f"benchmarks.bench_{name}", *options],
                cwd=HERE.parent,
                env=os.environ | {timing.COLLECT: str(collected)},
                check=False,
            )
            print(f"== {name}: {time.perf_counter() - start:.0f} s\n", flush=True)
            if done.returncode:
                failed.append(name)
        if rows := timing.read(collected):
            print(table.text(rows))
    if not quick:
        table.renew()
    if failed:
        raise InputError(f"failed: {', '.join(failed)}; what each said is above")


if __name__ == "__main__":
    if "--gpu" in sys.argv:  # parsed without tyro, which a machine that is lent may lack
        with plainly(sys.argv[1:]) as words:
            gpu.main(words)
    else:
        run(main)
