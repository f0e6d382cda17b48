"""How every command starts: flags from a function's signature, one line for a user's mistake."""

import contextlib
import inspect
import io
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jvae.errors import InputError, InputWarning
from jvae.runtime.xla import keep_compiled

DEBUG = "--debug"
PLATFORMS = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")
GUARDS = [f"JAX_TRANSFER_GUARD{which}" for which in ("", "_HOST_TO_DEVICE", "_DEVICE_TO_HOST", "_DEVICE_TO_DEVICE")]
WATCHING = {  # words of an error, and the variables for debugging that make JAX raise it
    "FloatingPointError": ("JAX_DEBUG_NANS", "JAX_DEBUG_INFS"),
    "Disallowed": ("JAX_DISABLE_JIT", *GUARDS),
}
SETTINGS_OF_JAX = ("jax._src.config", "jax._src.xla_bridge")  # where it reads flags, and starts what it runs on
REPORT = (
    "This is a bug in jvae, not in what you gave it. Please report the lines above, with the command and the output of "
    "`pip list`, in the issues of the repository it came from"
)


def run(main: Callable[..., Any]) -> None:
    """Parses the command line into `main`'s arguments and calls it; exits 2 on bad input, 130 on Ctrl-C.

    Args:
      main: function whose annotated signature and docstring are the command line (by tyro).

    Raises:
      SystemExit: always on failure, see `plainly`.
    """
    with plainly(sys.argv[1:]) as words:
        call(main, words)


@contextlib.contextmanager
def plainly(words: Sequence[str]) -> Iterator[list[str]]:
    """Inside, a user's mistake ends the process after one line; gives `words` without --debug.

    With `--debug` among the words nothing is left out: bad input keeps its traceback, tracebacks their frames inside of
    JAX, warnings their source line, and what libraries log is shown.

    Raises:
      SystemExit: always on failure, after one line on stderr for `InputError` and `OSError` (a missing file, a full
        disk), silently when the output's reader has left. Any other exception is a bug: it keeps its traceback, and
        says where to report it.
    """
    debug = DEBUG in words
    with warnings.catch_warnings():
        if debug:
            _show_everything()
        else:
            _warn_in_one_line()
        try:
            yield [word for word in words if word != DEBUG]
        except BrokenPipeError:  # what reads our output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)
        except (InputError, InputWarning, OSError) as error:  # a warning where PYTHONWARNINGS makes errors of them
            if debug:
                traceback.print_exc()
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            sys.exit(130)
        except Exception as error:
            if said := _of_environment(error):
                if debug:
                    traceback.print_exc()
                print(f"error: {said}", file=sys.stderr)
                sys.exit(2)
            error.add_note(REPORT)
            raise


def call(main: Callable[..., Any], words: Sequence[str], name: str | None = None) -> None:
    """Parses words into `main`'s arguments and calls it.

    Args:
      main: function as in `run`. The fields of a dataclass among its parameters are flags of their own, without a
        prefix unless it has the attribute `prefixed`.
      words: words of the command line after the command's name.
      name: name of the command, for its help; None takes the script's.
    """
    import tyro  # here, so that jvae imports where tyro is not installed

    keep_compiled()
    about, *_ = re.split(r"\n\n(?:Args|Raises):", inspect.getdoc(main) or "")
    about = f"{about.strip()}\n\nWith {DEBUG}, errors and warnings tell all they know."
    prefix = () if getattr(main, "prefixed", False) else (tyro.conf.OmitArgPrefixes,)
    tyro.cli(main, args=list(words), prog=name, description=about, config=(*prefix, tyro.conf.DisallowNone))


def flags_of(main: Callable[..., Any]) -> list[str]:
    """The flags of a command, such as --count, in the order of its help."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        call(main, ["--help"])
    lines = re.findall(r"^[^-\w] (-.*)", out.getvalue(), re.M)  # the words before two spaces are flags, not their help
    return [flag for line in lines for flag in re.findall(r"--[a-z][\w-]*", line.split("  ")[0])]


def _of_environment(error: Exception) -> str:
    """The line for what JAX's environment variables make it refuse; "" for any other error."""
    said = str(error).partition("\n")[0]
    for mark, watching in WATCHING.items():
        given = " ".join(f"{name}={os.environ[name]}" for name in watching if os.environ.get(name))
        if given and mark in f"{type(error).__name__} {said}":
            return f"JAX stopped, as {given} has it ({said}): unset it, for jvae to go on or to say more"
    names = [name for name in PLATFORMS if os.environ.get(name)]
    if names and isinstance(error, AssertionError | RuntimeError) and (jax := sys.modules.get("jax")):
        try:
            jax.devices()
        except Exception as again:  # the same error, with the frames that JAX takes out of tracebacks
            error, said = again, str(again).partition("\n")[0]
    frames = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    if frames[-1] not in SETTINGS_OF_JAX:
        return ""
    named = re.search("jax_[a-z0-9_]+", said, re.IGNORECASE)
    names = [named[0].upper()] if named else names
    given = " ".join(f"{name}={os.environ[name]}" for name in names if name in os.environ)
    return given and f"JAX does not run with {given} ({said or 'it is not installed'}): give another value, or unset it"


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
