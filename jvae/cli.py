"""How every experiment script starts: flags from the function's signature, one line for a user's mistake."""

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

from jvae.errors import InputError, InputWarning
from jvae.runtime.xla import keep_compiled

DEBUG = "--debug"
REPORT = (
    "This is a bug in jvae, not in what you gave it. Please report the lines above, with the command and the output of "
    "`pip list`, in the issues of the repository it came from"
)


def run(main: Callable[..., Any]) -> None:
    """Parses the command line into `main`'s arguments and calls it; exits 2 on bad input, 130 on Ctrl-C.

    With `--debug` anywhere on the command line nothing is left out: bad input keeps its traceback, tracebacks their
    frames inside of JAX, warnings their place, and what libraries log is shown.

    Args:
      main: a function whose annotated signature and docstring are the command line (by tyro).

    Raises:
      SystemExit: always on failure, after one line on stderr for `InputError` and `OSError` (a missing file, a full
        disk), silently when the output's reader has left. Any other exception is a bug: it keeps its traceback, and
        says where to report it.
    """
    keep_compiled()
    debug = DEBUG in sys.argv[1:]
    sys.argv = [sys.argv[0], *(word for word in sys.argv[1:] if word != DEBUG)]
    with warnings.catch_warnings():
        if debug:
            _show_everything()
        else:
            _warn_in_one_line()
        _call(main, debug)


def _call(main: Callable[..., Any], debug: bool) -> None:
    import tyro  # here, so that jvae imports where tyro is not installed

    try:
        summary = (main.__doc__ or "").split("\n\n")[0]
        tyro.cli(
            main,
            description=f"{summary} With {DEBUG}, errors and warnings tell all they know.".strip(),
            config=(tyro.conf.OmitArgPrefixes,),
        )
    except BrokenPipeError:  # what reads our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except (InputError, OSError) as error:
        if debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        error.add_note(REPORT)
        raise


def _warn_in_one_line() -> None:
    show = warnings.showwarning

    def one_line(message: Any, category: type, *rest: Any, **kwargs: Any) -> None:
        if issubclass(category, InputWarning):
            print(f"warning: {message}", file=sys.stderr)
        else:
            show(message, category, *rest, **kwargs)

    warnings.showwarning = one_line


def _show_everything() -> None:
    warnings.simplefilter("always")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("absl").setLevel(logging.INFO)
    os.environ["JAX_TRACEBACK_FILTERING"] = "off"
    if jax := sys.modules.get("jax"):
        jax.config.update("jax_traceback_filtering", "off")
