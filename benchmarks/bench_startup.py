"""From the start of the process to the first train step's end, and to the first picture.

    python -m benchmarks.bench_startup

Each is a process of its own that does through jvae's public API what a script of a user's does, on a small store and
run that are made beforehand. Cold is with an empty compilation cache, warm with the one that the cold start has filled;
the files of Python and its packages are in the system's cache both times. A step counts when its loss is on the host.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jvae
from benchmarks import timing
from jvae.cli import run

FIRST_STEP = """
import os, sys, jvae
from jvae import cli

def main() -> None:
    def stopped():
        calls.append(1)
        if len(calls) == 2:  # the loss of step 1 was read while step 2 was under way
            print("step", flush=True)
            os._exit(0)

    calls, (preset, data, run) = [], arguments
    jvae.train(jvae.preset(preset).replace(chunk_steps=1), jvae.PackedStore.open(data), run, stopped=stopped)

arguments, sys.argv[1:] = sys.argv[1:], []
cli.run(main)
"""

FIRST_PICTURE = """
import sys, jvae, numpy
from jvae import cli

def main() -> None:
    model = jvae.load(run)
    pictures = model.decode(numpy.random.default_rng(0).standard_normal((5, 9, model.latent_dim)))
    assert pictures.shape[:2] == (5, 9)
    print("picture", flush=True)

(run,), sys.argv[1:] = sys.argv[1:], []
cli.run(main)
"""


def seconds_to(line: str, script: str, arguments: list[str], cache: Path) -> float:
    """Seconds from the start of a Python process that runs `script` until it prints `line`.

    Raises:
      RuntimeError: it ended without, and why.
    """
    env = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": os.fspath(cache),
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # this process may hold the device's memory
    }
    command = [sys.executable, "-c", script, *arguments]
    root = Path(__file__).parent.parent
    with tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=root, env=env, stdout=subprocess.PIPE, stderr=errors, text=True)
        with process:
            assert process.stdout is not None
            for printed in process.stdout:
                if printed.strip() == line:
                    seconds = time.perf_counter() - start
                    process.communicate()
                    return seconds
        errors.seek(0)
        raise RuntimeError(f"the process ended with {process.returncode} before its {line}:\n{errors.read()[-2000:]}")


def main(quick: bool = False, rounds: int | None = None) -> None:
    """Times the first step and the first picture of new processes, cold and warm.

    Args:
      quick: celeba64 only, once.
      rounds: of which the median counts; 5 unless told, 1 with --quick.
    """
    rounds = rounds or (1 if quick else 5)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = jvae.pack(jvae.RenderedFaces(512), folder / "store", size=64, crop="center", progress=False)
        for preset in ("celeba64",) if quick else ("celeba64", "demo"):
            run_folder = folder / preset
            cfg = jvae.preset(preset).replace(steps=1, chunk_steps=1)
            jvae.train(cfg, store, run_folder, progress=False)
            times: dict[tuple[str, str], list[float]] = {}
            for i in range(rounds):
                cache = folder / f"cache-{preset}-{i}"
                for state in ("cold", "warm"):
                    out = folder / f"{preset}-{i}-{state}"
                    arguments = [preset, str(store.path), str(out)]
                    step = seconds_to("step", FIRST_STEP, arguments, cache / "step")
                    picture = seconds_to("picture", FIRST_PICTURE, [str(run_folder)], cache / "picture")
                    times.setdefault(("step", state), []).append(step)
                    times.setdefault(("picture", state), []).append(picture)
            targets = {
                ("step", "cold"): timing.by_platform("ours <= 8", "ours <= 15"),
                ("step", "warm"): timing.by_platform("ours <= 4", "ours <= 6"),
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
    print(timing.table(rows))


if __name__ == "__main__":
    run(main)
