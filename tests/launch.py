"""Starts several processes on this machine that are one run, each with one CPU device."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent


class Ended(NamedTuple):
    code: int
    out: str
    err: str
    seconds: float  # since the launch, or since what ended the first of them

    @property
    def lines(self) -> list[str]:
        return self.err.splitlines()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def start(count: int, *command: str, folder: Path, each: Sequence[Sequence[str]] = ()) -> list[subprocess.Popen]:
    """`python command…` with the flags of each of `count` processes (one alone gets none), and with its own `each`."""
    folder.mkdir(parents=True, exist_ok=True)
    port, started = free_port(), []
    quick = "--xla_backend_optimization_level=0"  # halves the time that compiling takes
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": quick, "PYTHONPATH": str(ROOT)}
    for i in range(count):
        flags = ["--coordinator", f"localhost:{port}", "--num-processes", str(count), "--process-id", str(i)]
        with (folder / f"{i}.out").open("w") as out, (folder / f"{i}.err").open("w") as err:
            started.append(
                subprocess.Popen(
                    [sys.executable, *command, *(flags if count > 1 else []), *(each[i] if each else [])],
                    cwd=ROOT,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                )
            )
    return started


def wait(started: list[subprocess.Popen], folder: Path, seconds: float = 120) -> list[Ended]:
    """How they ended; those that did not within so many seconds are killed, with code None."""
    begin, ended = time.monotonic(), dict[int, float]()
    while len(ended) < len(started) and time.monotonic() - begin < seconds:
        for i, process in enumerate(started):
            if i not in ended and process.poll() is not None:
                ended[i] = time.monotonic()
        time.sleep(0.02)
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()
    first = min(ended.values(), default=begin)
    return [
        Ended(
            process.returncode,
            (folder / f"{i}.out").read_text(),
            (folder / f"{i}.err").read_text(),
            ended.get(i, float("inf")) - first,
        )
        for i, process in enumerate(started)
    ]


def launch(count: int, *command: str, folder: Path, seconds: float = 120) -> list[Ended]:
    return wait(start(count, *command, folder=folder), folder, seconds)
