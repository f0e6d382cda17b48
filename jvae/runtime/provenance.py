"""What made a result: device, versions, commit."""

import functools
import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

import jax

PACKAGES = (
    *("jax", "jaxlib", "numpy", "flax", "optax", "orbax-checkpoint", "torch", "pillow", "simplejpeg"),
    "tensorflow-datasets",
)


@functools.cache
def device() -> str:
    """The devices in words: the accelerators' name, or the processor's and the cores we may use."""
    if jax.default_backend() != "cpu":
        count = jax.device_count()
        return f"{count} x {jax.devices()[0].device_kind}" if count > 1 else jax.devices()[0].device_kind
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        info = Path("/proc/cpuinfo").read_text()
        name = re.findall(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)[0].strip()
    except (OSError, IndexError):
        name = platform.processor() or platform.machine()
    return f"{cores} cores of {name}"


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def commit() -> str | None:
    """The commit of this source, with "+" when a tracked file differs from it; None outside of its repository."""
    root = Path(__file__).parents[2]  # of the repository

    def ask(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if not Path(ask("rev-parse", "--show-toplevel")).samefile(root):
            return None  # installed, into a folder of somebody's repository
        by_us = ("benchmarks/results", "docs/recipe-*.png", "faults/results", "docs/reliability.md")  # who ask for this
        written = (f":!{path}" for path in by_us)
        changed = ask("status", "--porcelain", "--untracked-files=no", "--", ".", *written)
        return ask("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
