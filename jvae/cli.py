"""How every experiment script starts: flags from the function's signature, one line for a user's mistake."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jvae.errors import InputError


def run(main: Callable[..., Any]) -> None:
    """Parses the command line into `main`'s arguments and calls it; exits 2 on bad input, 130 on Ctrl-C.

    Args:
      main: a function whose annotated signature and docstring are the command line (by tyro).

    Raises:
      SystemExit: always on failure, after one line on stderr for `InputError` and `OSError` (a missing file, a full
        disk), silently when the output's reader has left. Any other exception is a bug and keeps its traceback.
    """
    # Before jax is imported: what was compiled once is there at the next start.
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "jvae" / "xla"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")

    import tyro  # here, so that jvae imports where tyro is not installed

    try:
        tyro.cli(main, description=(main.__doc__ or "").split("\n\n")[0])
    except BrokenPipeError:  # what reads our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
