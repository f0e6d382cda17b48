"""Whose kernels XLA calls, and the programs that it compiled, kept on disk for the next start."""

import contextlib
import functools
import os
import sys
from pathlib import Path

from jvae.errors import InputError
from jvae.io.files import tidy_all


@functools.cache
def calls_libraries() -> bool:
    """Whether XLA has a library's kernels for convolutions on this CPU, found by compiling a small one.

    From jaxlib 0.12 on it calls YNNPACK's, or oneDNN's where XLA_FLAGS say so. It asks for no kernels of its own then,
    which are slow inside of a loop.
    """
    import jax
    from jax import lax

    if jax.default_backend() != "cpu":
        return False
    image, kernel = (jax.ShapeDtypeStruct(shape, "float32") for shape in ((32, 32, 32, 32), (3, 3, 32, 64)))
    convolve = functools.partial(
        lax.conv_general_dilated, window_strides=(2, 2), padding="SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    compiled = jax.jit(convolve).lower(image, kernel).compile().as_text() or ""
    return "__ynn_fusion" in compiled or "__onednn$convolution" in compiled


def keep_compiled() -> None:
    """Turns JAX's persistent compilation cache on, in the user's cache folder, unless the environment says otherwise.

    What was compiled once is there at the next start.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "jvae" / "xla"
    defaults = {"jax_compilation_cache_dir": str(cache), "jax_persistent_cache_min_compile_time_secs": "0"}
    for name, value in defaults.items():
        if name.upper() not in os.environ:
            os.environ[name.upper()] = value
            if jax := sys.modules.get("jax"):  # it reads the environment when it is imported, and no more
                jax.config.update(name, float(value) if name.endswith("secs") else value)
    if there := os.environ["JAX_COMPILATION_CACHE_DIR"]:
        with contextlib.suppress(OSError):  # another user's, say: it is there to be read all the same
            tidy_all(Path(there))
    if "jax" in sys.modules:
        keep_whole()


def check_compiles() -> None:
    """Raises InputError where JAX was told not to compile: a chunk of training is one compiled program."""
    if (jax := sys.modules.get("jax")) and jax.config.jax_disable_jit:
        raise InputError("JAX_DISABLE_JIT is set, and training is a compiled program: unset it")


def keep_whole() -> None:
    """Makes JAX rename complete entries into its cache on a disk, for this process.

    JAX writes an entry in place and never again: where a kill cuts it, each later start warns and compiles, and so does
    a process that reads it while another writes. No public name reaches that, so this holds on to one of JAX's own;
    where that is gone, JAX does as it does.
    """
    try:
        from jax._src.lru_cache import LRUCache

        in_place = LRUCache.put
    except (ImportError, AttributeError):
        return
    if in_place.__module__ == __name__:
        return

    def put(self: LRUCache, key: str, value: bytes) -> None:
        if not key or self.eviction_enabled or "://" in str(self.path):
            in_place(self, key, value)
            return
        part = Path(self.path) / f".{key}.{os.getpid()}.part"
        try:
            part.write_bytes(value)
            os.replace(part, part.with_name(f"{key}-cache"))
        finally:
            part.unlink(missing_ok=True)

    LRUCache.put = put
