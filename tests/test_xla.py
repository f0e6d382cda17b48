"""The cache of compiled programs: where it is, and what a kill leaves of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("first", ["", "import jax; "], ids=["before jax", "after jax"])
def test_what_was_compiled_is_kept(first, tmp_path):
    code = (
        f"{first}from jvae.runtime.xla import keep_compiled; keep_compiled(); import jax; "
        "print(jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs)"
    )
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_COMPILATION", "JAX_PERSISTENT"))}
    for environment, expected in (
        ({}, f"{tmp_path / 'jvae' / 'xla'} 0.0"),
        ({"JAX_COMPILATION_CACHE_DIR": "elsewhere"}, "elsewhere 0.0"),
    ):
        child = mine | {"XDG_CACHE_HOME": str(tmp_path)} | environment
        done = subprocess.run([sys.executable, "-c", code], env=child, cwd=ROOT, capture_output=True, text=True)
        assert done.stdout.strip() == expected, done.stderr


# Compiles one program, in a process that is killed when it writes more than so many bytes to a file.
COMPILE = """
import resource, signal, sys
import jax
from jvae.runtime.xla import keep_compiled

keep_compiled()
program = jax.jit(lambda x: x + 1).lower(1.0)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), -1))
program.compile()
"""


def test_a_kill_leaves_no_cut_program_and_a_cut_one_is_replaced(tmp_path):
    pytest.importorskip("resource")

    def compile_once(limit=1 << 30):
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path)}
        command = [sys.executable, "-c", COMPILE, str(limit)]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
        return done.returncode, "Error reading persistent compilation cache" in done.stderr

    assert compile_once(100) == (-signal.SIGXFSZ, False)
    assert not list(tmp_path.glob("*-cache"))
    assert compile_once() == (0, False)
    (entry,) = tmp_path.iterdir()  # what the killed process left is gone too
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-9])
    assert compile_once() == (0, True)
    assert entry.stat().st_size > len(whole) - 9
    assert compile_once() == (0, False)
