"""How the flags of a command may be annotated: left out, given several times, or by a name that is registered.

Beside nothing but tyro, so that a command which needs no trained model imports none of what those need.
"""

import inspect
from typing import Annotated, TypeVar

import tyro

from jvae.training.trackers import TRACKERS

T = TypeVar("T")


def unless_none(said: str) -> str:
    """What help says of a default, given as `said`: nothing where it is None, as the description says what happens."""
    return f"(default: {said})" if said not in ("None", "") else ""


_UNLESS_NONE = tyro.conf.arg(help_behavior_hint=unless_none)
Maybe = Annotated[T | None, _UNLESS_NONE]  # a flag that may be left out
Many = Annotated[tuple[T, ...], _UNLESS_NONE]  # any number of words, or none
TrackerName = Annotated[str, tyro.conf.arg(metavar=f"{{{','.join(TRACKERS)}}}")]


def without_none(parameter: inspect.Parameter) -> inspect.Parameter:
    """A parameter whose help does not say that its default is None or nothing: its description says what happens."""
    if parameter.default is not None and parameter.default != ():
        return parameter
    return parameter.replace(annotation=Annotated[parameter.annotation, _UNLESS_NONE])
