"""What `jvae export --format onnx` writes: its size, how far onnxruntime lies from jvae, and the time of both.

    python -m benchmarks.bench_export

Encoder and decoder of each preset, in batches of 1 and 32, from float32 in the host's memory to float32 there, by
onnxruntime on the CPU and by jvae's own compiled function, rounds in turn. First parameters: the time does not depend
on them. Needs the extra export.
"""

import functools
import tempfile
from pathlib import Path

import jax
import numpy as np

from benchmarks import faces, table, timing
from jvae.cli.run import run
from jvae.export import onnx_files
from jvae.export.bundle import Bundle
from jvae.export.functions import functions
from jvae.training.presets import preset

PRESETS = ("celeba64", "residual64", "linear64", "book")
BATCHES = (1, 32)


def preset_rows(name: str, rounds: int, repeats: int) -> tuple[list[timing.Row], list[str]]:
    """The rows of a preset, and a line on each of its graphs."""
    bundle, rows, lines = Bundle(name, faces.untrained(preset(name)), (), {}, {}), [], []
    for function in functions(bundle):
        found = []
        for half in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                onnx_files.write_onnx(Path(folder), bundle, half=half, only=(function.name,))
                path = Path(folder) / f"{function.name}.onnx"
                session, size = onnx_files.session(path), path.stat().st_size / 1e6
            given = onnx_files.samples(bundle, 32)
            off = max(onnx_files.differences(session, function, [given[i] for i in function.inputs]))
            found.append(f"{'float16' if half else 'float32'} {size:.2f} MB, off by {off:.1g}")
            if half:
                continue
            for batch in BATCHES:
                inputs = [given[i][:batch] for i in function.inputs]
                rows.append(_row(f"{name}, {function.name}, {batch}", session, function, inputs, rounds, repeats))
        lines.append(f"{name}, {function.name}: {'; '.join(found)}")
    return rows, lines


def _row(case: str, session, function, inputs: list[np.ndarray], rounds: int, repeats: int) -> timing.Row:
    compiled, named = jax.jit(function.call), dict(zip(function.inputs, inputs, strict=True))

    def repeated(call) -> None:
        for _ in range(repeats):
            call()

    runs = {
        "jvae": functools.partial(repeated, lambda: jax.device_get(compiled(*inputs))),
        "onnxruntime": functools.partial(repeated, lambda: session.run(None, named)),
    }
    times = timing.in_turn(runs, rounds=rounds, warm=2)
    ms = {who: 1000 / repeats * t.median for who, t in times.items()}
    spread = (1000 / repeats * times["jvae"].least, 1000 / repeats * times["jvae"].most)
    peer = {"peer_name": "onnxruntime", "peer": ms["onnxruntime"], "higher_is_better": False}
    return timing.row("export", case, "ms", ms["jvae"], **peer, spread=spread, n=rounds)


def main(quick: bool = False, rounds: int | None = None) -> None:
    """Times exported graphs in onnxruntime against jvae, and tells their sizes and differences.

    Args:
      quick: one preset, and fewer and shorter rounds.
      rounds: timed rounds of each (default: 15, quick 2).
    """
    rows, lines = [], []
    for name in PRESETS[:1] if quick else PRESETS:
        more, said = preset_rows(name, rounds or (2 if quick else 15), 2 if quick else 10)
        rows, lines = rows + more, lines + said
    timing.write(rows)
    print("\n".join([table.text(rows), *lines]))


if __name__ == "__main__":
    run(main)
