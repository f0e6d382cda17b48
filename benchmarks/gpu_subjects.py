"""What `python -m benchmarks --gpu` measures, in the order of its importance; with XLA's flags that are tried."""

import dataclasses
import functools
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.timing import Row

EPOCHS, CELEBA_TRAIN, CELEBA = 200, 162_770, 202_599  # the book's epochs; images of the training split, and of all
RATES = {
    "matmul_float32": "matrix products, float32",
    "matmul_bfloat16": "matrix products, bfloat16",
    "copy_bytes": "memory, read and written",
}
WHILE = "--xla_gpu_enable_command_buffer=+WHILE"

# Flag, its default in jaxlib 0.10, and the value that is tried.
FLAGS = (
    ("xla_gpu_graph_min_graph_size", "5", "1"),
    ("xla_gpu_autotune_level", "4", "0"),
    ("xla_gpu_enable_triton_gemm", "true", "false"),
    ("xla_gpu_enable_latency_hiding_scheduler", "false", "true"),
    ("xla_gpu_force_conv_nhwc", "false", "true"),
    ("xla_gpu_force_conv_nchw", "false", "true"),
    ("xla_gpu_experimental_enable_conv_fusion", "false", "true"),
    ("xla_gpu_use_runtime_fusion", "false", "true"),
    ("xla_gpu_cudnn_gemm_fusion_level", "0", "2"),
    ("xla_gpu_exhaustive_tiling_search", "false", "true"),
    ("xla_gpu_fusion_autotune_top_k_configs", "1", "4"),
    ("xla_gpu_experimental_enable_fusion_autotuner", "true", "false"),
    ("xla_gpu_experimental_all_fusions_with_triton", "false", "true"),
    ("xla_gpu_enable_dynamic_slice_fusion", "false", "true"),
    ("xla_gpu_enable_while_loop_double_buffering", "false", "true"),
    ("xla_gpu_copy_insertion_use_region_analysis", "false", "true"),
    ("xla_gpu_ftz", "false", "true"),
)


@dataclass(frozen=True)
class Subject:
    """A row to be measured.

    Attributes:
      case: its name.
      kind: of gpu_rows.KINDS, or "projection".
      seconds: that it is thought to take, until one of its kind has been measured.
      spec: what gpu_rows.py needs to know.
    """

    case: str
    kind: str
    seconds: float
    spec: dict[str, Any] = dataclasses.field(default_factory=dict)


def subjects(smallest: bool) -> Iterator[Subject]:
    """What is measured, the most important first; one row of each kind and of one program where it is the smallest."""
    for i, (rate, name) in enumerate(RATES.items()):
        yield Subject(f"limit: {name}", "limit", 2 if i else 30, {"rate": rate})
    models = {"book": 128} if smallest else {"book": 128, "celeba64": 64, "residual64": 64}
    for batch in (4,) if smallest else (128, 1024, 32, 4096):
        for preset, size in models.items():
            for dtype in ("float32",) if smallest else ("float32", "bfloat16"):
                case = f"train {preset} {size}x{size} b{batch} {dtype}"
                yield Subject(case, "train", 60, {"preset": preset, "batch": batch, "dtype": dtype})

    tiny = {"preset": "book", "batch": 4, "dtype": "float32"}
    base = tiny if smallest else {"preset": "celeba64", "batch": 2048}
    of = f", {base['preset']}"
    count = 8 if smallest else 32_768
    yield Subject(f"encode {count:,} images{of}", "encode", 60, {**base, "count": count})
    for what, rows, columns in (("5x9 faces", 5, 9), ("20x20 faces", 20, 20), ("morph of 120 frames", 120, 1)):
        if not smallest or rows == 5:
            repeats = 1 if smallest else 10_000 // (rows * columns)
            yield Subject(f"{what}{of}", "grid", 45, {**base, "rows": rows, "columns": columns, "repeats": repeats})
    count = 2 if smallest else 16
    spec = {"batch": 32, **(tiny if smallest else {"preset": "celeba64"}), "count": count}
    yield Subject(f"train {count} models at once{of} b{spec['batch']}", "models", 60, spec)
    count = 8 if smallest else CELEBA
    yield Subject(f"statistics of {count:,} images{of}", "statistics", 45, {**base, "count": count})
    yield Subject("", "projection", 0)

    base = tiny if smallest else {"preset": "celeba64", "batch": 128, "dtype": "bfloat16"}
    train = f"train {base['preset']} b{base['batch']} {base['dtype']}"
    for name, default, value in FLAGS[-1:] if smallest else FLAGS:
        spec = {**base, "flags": f"--{name}={value}", "known_steps": False}
        yield Subject(f"{train}, --{name}={value} (default {default})", "changed", 45, spec)
    spec = {**base, "flags": "", "known_steps": True}
    yield Subject(f"{train}, number of steps known to the compiler", "changed", 45, spec)
    if not smallest:
        yield Subject(f"{train}, {WHILE}", "changed", 45, {**spec, "flags": WHILE, "known_steps": False})
        yield Subject(f"{train}, {WHILE}, number of steps known", "changed", 45, {**spec, "flags": WHILE})


def projection(rows: Sequence[Row]) -> Row | None:
    """The book's training of CelebA in seconds, by arithmetic from the fastest of its measured rows."""
    found = [r for r in rows if r.case.startswith("train book 128x128 ") and r.ours and r.spread]
    if not found:
        return None
    best, images = max(found, key=lambda r: r.ours or 0), CELEBA_TRAIN * EPOCHS
    assert best.ours and best.spread
    return dataclasses.replace(
        best,
        case=f"projection, not measured: {EPOCHS} epochs of {CELEBA_TRAIN:,} images as {best.case}",
        unit="s",
        ours=images / best.ours,
        peer=images / best.peer if best.peer else None,
        spread=(images / best.spread[1], images / best.spread[0]),
        compile_s=None,
        target="ours <= 300",
        error=None,
    )


def idle(flags: Sequence[str]) -> set[str]:
    """Those of some words for XLA_FLAGS that are nothing to try in the installed jaxlib.

    It does not know them, and ends a process that has one, or they are its defaults.
    """

    def started(words: Iterable[str]) -> str:
        env = {"XLA_FLAGS": " ".join(words), "JAX_PLATFORMS": "cpu", "JAX_ENABLE_COMPILATION_CACHE": "false"}
        command = [sys.executable, "-c", "import jax; jax.jit(lambda x: -x)(1.0)"]
        return subprocess.run(command, env=os.environ | env, capture_output=True, text=True, check=False).stderr

    unknown = re.findall("Unknown flags? in XLA_FLAGS: (.*)", started(flags))
    found = {word for line in unknown for word in line.split()}
    with tempfile.TemporaryDirectory() as folder:
        started([f"--xla_dump_to={folder}", *(word for word in flags if word not in found)])
        changed = "".join(path.read_text() for path in Path(folder).glob("*debug_options"))  # but for defaults
    if changed:
        found |= {word for word in flags if not re.search(rf"^{word[2:].partition('=')[0]}:", changed, re.MULTILINE)}
    return found


@functools.cache
def idle_flags() -> set[str]:
    """Of those that are tried."""
    return idle([*(f"--{name}={value}" for name, _, value in FLAGS), WHILE])
