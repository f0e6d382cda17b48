"""Strict by default: two devices, no rank promotion, and warnings are errors (pyproject.toml)."""

import atexit
import contextlib
import functools
import gc
import inspect
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import hypothesis
import pytest

# Before JAX is first imported, here and in the processes that tests start.
assert "jax" not in sys.modules, "something imported jax before tests/conftest.py could set it up"
CACHE = "JAX_COMPILATION_CACHE_DIR"
MEMORY = 16 << 30  # bytes that a process may take
ON_GPU = os.environ.get("JVAE_TEST_GPU") == "1"
flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
if not ON_GPU:
    os.environ["JAX_PLATFORMS"] = "cpu"
    # LLVM's passes are left out, which take half of the time; all that XLA does to a program comes before them.
    # XLA_FLAGS=--xla_backend_optimization_level=3 has them back.
    # A program is compiled in one piece, as the tests' workers take all cores already.
    flags = f"--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1 {flags}"
    # A test that takes memory without end fails itself, and not the machine; all of them together take a third of this.
    if resource.getrlimit(resource.RLIMIT_DATA)[1] == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, resource.RLIM_INFINITY))
    if version("jaxlib").startswith("0.10."):  # likewise the slow one of its two ways to write loops
        flags = f"--xla_cpu_use_fusion_emitters=false {flags}"
os.environ["XLA_FLAGS"] = flags
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
if CACHE not in os.environ:  # what one worker or child process has compiled serves the others, of this session alone
    os.environ[CACHE] = tempfile.mkdtemp(prefix="jvae-tests-")
    atexit.register(shutil.rmtree, os.environ[CACHE], ignore_errors=True)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["MPLBACKEND"] = "Agg"

import jax  # noqa: E402
from jax.core import Tracer  # noqa: E402

from jvae.data.sources import face_drawing  # noqa: E402
from jvae.runtime.xla import keep_whole  # noqa: E402

keep_whole()
# Faces are drawn by the thousand, ten times as slowly without those passes.
_paint = face_drawing._planes
_paint_fast = jax.jit(
    inspect.unwrap(_paint), static_argnames="size", compiler_options={"xla_backend_optimization_level": 1}
)


def _planes(factors: face_drawing.Factors, size: int) -> jax.Array:
    return (_paint if isinstance(factors.attrs, Tracer) else _paint_fast)(factors, size)


face_drawing._planes = _planes

# A first example compiles, so no deadline an example; the same examples in every run of CI.
hypothesis.settings.register_profile("jvae", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("jvae")

COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"


# Files of ten seconds and more begin first, so that no worker is left with one when the others have ended; the Makefile
# tells xdist to keep to that.
LONGEST = (
    *("processes", "judge", "pictures", "train", "gpu", "export", "sweep", "principal", "models", "recipe"),
    *("extending", "tasks", "benchmarks", "hostile", "decoded", "rendered", "faults", "explore", "checkpoint"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if on_gpu and not (ON_GPU and jax.default_backend() == "gpu"):
        for item in on_gpu:
            item.add_marker(pytest.mark.skip(reason="needs a GPU, and JVAE_TEST_GPU=1"))


def pytest_collection_finish() -> None:
    """What was imported stays, so the garbage collector leaves it out, and looks less often at what tracing makes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


@pytest.fixture
def traced_once() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Wraps a function so that tracing it a second time fails: `step = jax.jit(traced_once(step))`."""

    def shapes(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        leaves = jax.tree.leaves((args, kwargs))
        return ", ".join(str(jax.typeof(x)) if hasattr(x, "dtype") else repr(x) for x in leaves)

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        first: list[str] = []

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            seen = shapes(args, kwargs)
            if first:
                pytest.fail(f"{function.__name__} was traced twice:\n  first with  {first[0]}\n  then with   {seen}")
            first.append(seen)
            return function(*args, **kwargs)

        return wrapped

    return wrap


@pytest.fixture
def compiles() -> Iterator[Callable[..., contextlib.AbstractContextManager[list[float]]]]:
    """Checks how many programs a block compiles: `with compiles(at_most=0): step(state, batch)`."""
    running: list[list[float]] = []

    def listen(event: str, duration_secs: float, **_: Any) -> None:
        if event == COMPILE_EVENT:
            for found in running:
                found.append(duration_secs)

    @contextlib.contextmanager
    def check(at_most: int) -> Iterator[list[float]]:
        found: list[float] = []
        running.append(found)
        try:
            yield found
        finally:
            running.remove(found)
        assert len(found) <= at_most, f"{len(found)} programs were compiled, at most {at_most} expected"

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield check
    jax.monitoring.unregister_event_duration_listener(listen)
