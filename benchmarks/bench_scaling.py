"""Cost of an image and peak memory, from ten thousand images to ten million, and on 1 to 8 devices.

    python -m benchmarks.bench_scaling

Two jobs of the preset celeba64: the pass that gathers the attribute statistics, whole, and training from a streamed
store, a chunk of 50 steps (a pass over ten million images takes hours on a CPU, and no step differs from another but
in the order of its epoch). The images are those of a rendered store, which repeats to the number wanted: ten million
would be 120 GB, so the disk and the system's cache of it are not in the figures. Every measurement is a process of its
own, in turn with the others; its peak of memory includes compilation. Virtual devices share the cores of one CPU, so
their ideal is the cost on one device.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import table, timing
from benchmarks.bench_feed import Training
from benchmarks.faces import Repeated, untrained
from benchmarks.faces import images as some_images
from jvae.cli.run import run
from jvae.data.sources.celeba import ATTRIBUTES
from jvae.errors import InputError
from jvae.latent.encoding import attribute_statistics
from jvae.training.presets import preset

SMALLEST = 10_000
WORDS = {10_000: "10^4", 100_000: "10^5", 1_000_000: "10^6", 10_000_000: "10^7"}


def statistics_pass(cfg_name: str, images: Any, attrs: Any, batch_size: int) -> float:
    """Seconds of a pass over all of `images` [n,h,w,3], what is compiled excluded."""
    model = untrained(preset(cfg_name))
    rows = np.arange(len(images))
    attribute_statistics(model, images, attrs, rows[:batch_size], batch_size=batch_size)
    start = time.perf_counter()
    attribute_statistics(model, images, attrs, rows, batch_size=batch_size)
    return time.perf_counter() - start


def training_chunk(cfg_name: str, images: Any, steps: int) -> tuple[float, int]:
    """Seconds of a chunk of `steps` steps after the first one, and how many images it takes."""
    cfg = preset(cfg_name).replace(chunk_steps=steps)
    training = Training(cfg, images, "streamed", 1)
    training()
    seconds = timing.measure(training, rounds=1, warm=1).median
    training.close()
    return seconds, steps * cfg.loop.batch_size


def peak_memory() -> int:
    """The most memory that this process has held, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage's may be that of the process which started this one
        found = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(found["VmHWM"].split()[0]) * 1024
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def child() -> None:
    """What the process of one measurement does: reads it from the command line, prints its cost and memory."""
    job = json.loads(sys.argv[1])
    images: Any = Repeated(np.load(job["store"], mmap_mode="r", allow_pickle=False), job["count"])
    if job["what"] == "statistics":
        attrs = Repeated(np.random.default_rng(0).random((len(images.array), len(ATTRIBUTES))) < 0.3, job["count"])
        seconds, done = statistics_pass(job["preset"], images, attrs, 512), job["count"]
    else:
        seconds, done = training_chunk(job["preset"], images, job["steps"])
    print(json.dumps({"cost": seconds / done, "memory": peak_memory()}))


def measure(job: dict[str, Any], devices: int | None) -> dict[str, float]:
    """Does `job` in a new process, on `devices` virtual devices of the CPU or on what there is.

    Raises:
      RuntimeError: it failed, and why.
    """
    env = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if devices is not None:
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}".strip()
        env |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    command = [sys.executable, "-c", "from benchmarks.bench_scaling import child; child()", json.dumps(job)]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{job} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def rows_of(
    what: str, found: dict[int, list[dict[str, float]]], cases: dict[int, str], first: str, rounds: int
) -> list[timing.Row]:
    """Rows of cost and of memory; a case that was not measured has no figures."""
    rows = []
    for name, unit, key, scale in (("cost", "µs/image", "cost", 1e6), ("peak memory", "MB", "memory", 1e-6)):
        values = {case: [scale * f[key] for f in got] for case, got in found.items()}
        base, *others = cases
        for case in (base, *others):
            got = values.get(case, [])
            rows.append(
                timing.row(
                    "scaling",
                    f"{what}, {cases[case]}: {name}",
                    unit,
                    statistics.median(got) if got else None,
                    peer_name=first if case != base else None,
                    peer=statistics.median(values[base]) if case != base else None,
                    higher_is_better=False,
                    spread=(min(got), max(got)) if got else None,
                    target="ratio >= 0.95" if case != base else None,
                    n=len(got) or rounds,
                )
            )
    return rows


def main(
    quick: bool = False,
    path: Path | None = None,
    most: int | None = None,
    minutes: float = 10,
    rounds: int | None = None,
) -> None:
    """Times an image, and finds the peak of memory, over stores of 10^4 images and more and on 1 to 8 devices.

    Args:
      quick: training of 10^4 and 10^5 images alone, with the preset demo, few steps, once.
      path: a packed store of 64x64 to repeat; rendered faces without.
      most: images of the largest store, at least 10^4; 10^7 unless told, 10^5 with --quick.
      minutes: leave out the passes of statistics that would take longer than this in all.
      rounds: processes a case; 3 unless told, 1 with --quick. A pass over a minute runs once.
    """
    if most is not None and most < SMALLEST:
        raise InputError(f"--most {most} is less than the smallest store that is measured: give {SMALLEST} or more")
    rounds = rounds or (1 if quick else 3)
    most = most or (100_000 if quick else 10_000_000)
    seconds = 10.0 if quick else 60 * minutes
    sizes = {n: f"{word} images" for n, word in WORDS.items() if n <= most}
    devices = {n: f"{n} virtual CPU device{'s' if n > 1 else ''}" for n in (1, 2, 4, 8)}
    rows: list[timing.Row] = []
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "images.npy"
        np.save(store, some_images(path, 512 if quick else 4096))
        base = {"store": str(store), "preset": "demo" if quick else "celeba64", "steps": 5 if quick else 50}
        for what in ("training",) if quick else ("statistics", "training"):
            found: dict[int, list[dict[str, float]]] = {}
            for i in range(rounds):
                for n in sizes:
                    if what == "statistics" and n > SMALLEST:
                        expected = n * found[SMALLEST][0]["cost"]
                        if expected > seconds or (i and expected > 60):
                            continue
                        seconds -= expected
                    found.setdefault(n, []).append(measure({**base, "what": what, "count": n}, None))
            for n in sizes.keys() - found.keys():
                print(f"{what} of {sizes[n]} is not measured: it takes too long here (see --minutes)")
            rows += rows_of(f"{base['preset']} {what}", found, sizes, sizes[SMALLEST], rounds)
            if quick:
                continue
            found = {}
            for _ in range(rounds):
                for n in devices:
                    found.setdefault(n, []).append(measure({**base, "what": what, "count": SMALLEST}, n))
            rows += rows_of(f"{base['preset']} {what}", found, devices, devices[1], rounds)
    timing.write(rows)
    print(table.text(rows))


if __name__ == "__main__":
    run(main)
