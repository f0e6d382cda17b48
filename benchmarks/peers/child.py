"""A peer in a process of its own, with environment variables of its own, that does a round when told to.

The parent writes a line a round; the child answers each with the seconds it took. What else the child has to say goes
to stderr.
"""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import timing
from benchmarks.peers.common import Common
from jvae.errors import InputError

# On a CPU, PyTorch's buffers come from malloc, which by default gives big ones back to the system after each use.
KEEP_MEMORY = {f"MALLOC_{name}_": str(2**30) for name in ("MMAP_THRESHOLD", "TRIM_THRESHOLD", "TOP_PAD")}
ROOT = Path(__file__).parent.parent.parent


class Child:
    """A running peer.

    Attributes:
      note: what it said of itself when it was ready, such as the configuration it chose.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.note = self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise InputError(f"the peer's process ended with status {self._process.wait()}: its message is above")
        return line.strip()

    def answer(self) -> Any:
        """One round; returns what the child's work returned."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its end is told by `_line`
            print("round", file=self._process.stdin, flush=True)
        return json.loads(self._line())

    def __call__(self) -> float:
        """One round; returns the seconds it took by the child's clock."""
        return float(self.answer())


@contextlib.contextmanager
def start(
    module: str, spec: dict[str, Any], environment: Mapping[str, str], arrays: Mapping[str, np.ndarray]
) -> Iterator[Child]:
    """Runs `python -m <module>` for as long as the block lasts.

    Args:
      module: calls `serve`.
      spec: what it needs to know, as JSON.
      environment: variables beside ours.
      arrays: that it is to read from the files `spec[name]`, so that both see the same pixels.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = {name: str(Path(folder) / f"{name}.npy") for name in arrays}
        for name, array in arrays.items():
            np.save(files[name], array)
        process = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(spec | files)],
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield Child(process)
        finally:
            process.kill()
            process.communicate()


@contextlib.contextmanager
def pytorch(
    task: str,
    cfg: Common,
    dtype: str,
    images: np.ndarray,
    *,
    quick: bool,
    test: np.ndarray | None = None,
    **more: int | list[int],
) -> Iterator[Child | None]:
    """PyTorch at a task of pytorch_tasks.py, in its best configuration; None, and a line, where it is not installed.

    Args:
      task: "train", "curve", "encode" or "decode".
      cfg: of the model and its training.
      dtype: of the matrix work.
      images: uint8 [n,h,w,3].
      quick: try only the likeliest configuration.
      test: uint8 [m,h,w,3], other images, for the task "curve".
      more: what the task needs besides.
    """
    if not timing.installed("torch"):
        yield None
        return
    spec = {"task": task, "config": dataclasses.asdict(cfg), "dtype": dtype, "quick": quick, **more}
    arrays = {"images": images} if test is None else {"images": images, "test": test}
    with start("benchmarks.peers.pytorch_tasks", spec, KEEP_MEMORY, arrays) as child:
        print(f"PyTorch runs as {child.note}", flush=True)
        yield child


def serve(prepare: Callable[[dict[str, Any]], tuple[str, Callable[[], Any]]]) -> None:
    """The child's side: prepares by the spec on the command line, then does a round for every line on stdin.

    Args:
      prepare: spec to a note of one line and the function that does a round and returns its seconds, or other numbers.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    note, work = prepare(json.loads(sys.argv[1]))
    print(note, file=answers, flush=True)
    for _ in sys.stdin:
        print(json.dumps(work()), file=answers, flush=True)
