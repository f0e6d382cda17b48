"""The error a user can mend, the warning, and the two ways of naming what was meant instead."""

import difflib
from collections.abc import Iterable, Sequence

LONGEST = 2000  # characters of an InputError's message; the middle of a longer one is left out


class InputError(ValueError):
    """Bad input. The message names the value, the rule it breaks and the way out, in one line.

    What names from files would do to a terminal (line ends, escape codes, text from right to left) is written out.
    Commands print it without a traceback; any other exception is a bug of ours and keeps its own.
    """

    def __init__(self, message: str):
        line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)
        super().__init__(line if len(line) <= LONGEST else f"{line[: LONGEST - 500]} ... {line[-490:]}")


class InputWarning(UserWarning):
    """Input that is fit to use, but may not be what was meant. Commands print it in one line."""


def damaged(what: str, why: str) -> InputError:
    """An `InputError` for a file, or a part of it, whose content cannot be what was written."""
    return InputError(f"{what} is damaged: {why}; make it anew")


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The `count` names in `known` closest in spelling to `name`, best first; case is ignored."""
    by_lower = {k.lower(): k for k in known}
    found = difflib.get_close_matches(name.lower(), list(by_lower), n=count, cutoff=0.5)
    return [by_lower[f] for f in found]


def unknown(kind: str, name: str, known: Sequence[str]) -> InputError:
    """An `InputError` for a `name` that is not among `known`, with the nearest names or all of them.

    Args:
      kind: what was looked up, in the singular: "attribute", "preset".
      name: what was asked for.
      known: the names there are. Up to 50 are listed when none is near.
    """
    close = nearest(name, known)
    if close:
        hint = f"did you mean {' or '.join(close)}?"
    elif len(known) <= 50:
        hint = f"there are: {', '.join(known)}"
    else:
        hint = f"there are {len(known)}, from {known[0]} to {known[-1]}"
    return InputError(f"unknown {kind} {name!r}: {hint}")
