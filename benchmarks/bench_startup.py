"""From the start of the process to the first train step's end, and to the first picture.

    python -m benchmarks.bench_startup

Each is a process of its own that does through jvae's public API what a script of a user's does: it trains on a small
store that is made beforehand, or draws a grid of samples from the run that this has made. Cold is with an empty
compilation cache, warm with the one that the cold start has filled; the files of Python and its packages are in the
system's cache both times. A step ends when its row is in metrics.jsonl, a picture when its PNG is written.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jvae
from benchmarks import table, timing
from jvae.cli.run import run

ROOT = Path(__file__).parent.parent

FIRST_STEP = """
import sys, jvae
from jvae.cli import run as command_line

def main() -> None:
    cfg = jvae.preset(preset).replace(steps=1, chunk_steps=1)
    jvae.train(cfg, jvae.PackedStore.open(data), run)

(preset, data, run), sys.argv[1:] = sys.argv[1:], []
command_line.run(main)
"""

FIRST_PICTURE = """
import sys, jvae, numpy
from jvae.cli import run as command_line
from jvae.render.sheet import save_png, sheet

def main() -> None:
    model = jvae.load(run)
    z = numpy.random.default_rng(0).standard_normal((5, 9, model.latent_dim))
    save_png(out, sheet(model.decode(z), raw=True))

(run, out), sys.argv[1:] = sys.argv[1:], []
command_line.run(main)
"""


def seconds_to(path: Path, script: str, arguments: list[str], cache: Path) -> float:
    """Seconds from the start of a Python process that runs `script` until the file `path` has something in it.

    The process then runs to its end. Its compilation cache is the directory `cache`.

    Raises:
      RuntimeError: it failed, and why.
    """
    env = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": os.fspath(cache),
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # this process may hold the device's memory
    }
    command = [sys.executable, "-c", script, *arguments]
    with tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=errors, stderr=errors)
        seconds = None
        while process.poll() is None:
            if seconds is None and path.exists() and path.stat().st_size:
                seconds = time.perf_counter() - start
            time.sleep(0.005)
        if process.returncode or seconds is None:
            errors.seek(0)
            raise RuntimeError(f"the process for {path.name} ended with {process.returncode}:\n{errors.read()[-2000:]}")
        return seconds


def main(quick: bool = False, rounds: int | None = None) -> None:
    """Times the first step and the first picture of new processes, cold and warm.

    Args:
      quick: the first step of celeba64, once.
      rounds: of which the median counts; 5 unless told, 1 with --quick.
    """
    rounds = rounds or (1 if quick else 5)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = jvae.pack(jvae.RenderedFaces(512), folder / "store", size=64, crop="center", progress=False)
        for preset in ("celeba64",) if quick else ("celeba64", "demo"):
            times: dict[tuple[str, str], list[float]] = {}
            for i in range(rounds):
                cache = folder / f"{preset}-{i}-cache"
                for state in ("cold", "warm"):
                    out = folder / f"{preset}-{i}-{state}"
                    arguments = [preset, str(store.path), str(out)]
                    step = seconds_to(out / "metrics.jsonl", FIRST_STEP, arguments, cache / "step")
                    times.setdefault(("step", state), []).append(step)
                    if quick:
                        continue
                    arguments = [str(out), str(out / "grid.png")]
                    picture = seconds_to(out / "grid.png", FIRST_PICTURE, arguments, cache / "picture")
                    times.setdefault(("picture", state), []).append(picture)
            targets = {
                ("step", "cold"): timing.by_platform("ours <= 7", "ours <= 15"),
                ("step", "warm"): timing.by_platform("ours <= 2.5", "ours <= 6"),
            }
            for (what, state), found in times.items():
                rows.append(
                    timing.row(
                        "startup",
                        f"{preset}, start to first {what}, {state} cache",
                        "s",
                        statistics.median(found),
                        spread=(min(found), max(found)),
                        target=targets.get((what, state)),
                        n=rounds,
                    )
                )
    timing.write(rows)
    print(table.text(rows))


if __name__ == "__main__":
    run(main)
