"""Doors: a name in, the class or function that is registered under it out, imported when it is first asked for."""

import importlib
import sys
from collections.abc import Mapping
from typing import Any

from jvae.errors import InputError, unknown


def find(kind: str, registered: Mapping[str, str], name: str) -> Any:
    """What is registered as `name`.

    Args:
      kind: what it is, in the singular, for the error: "model".
      registered: name -> "module:attribute".
      name: the one wanted.

    Raises:
      InputError: there is none, and the nearest names are given; or its line in the registry leads nowhere.
    """
    if name not in registered:
        raise unknown(kind, name, tuple(registered))
    module, _, attribute = (place := registered[name]).partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        missing = isinstance(error, ModuleNotFoundError)
        if module.startswith(error.name or "?") if missing else error.obj is sys.modules.get(module):
            what = f"there is no module {error.name}" if missing else f"{module} has no {attribute!r}"
            raise InputError(f'{kind} {name!r} is registered as "{place}", but {what}: mend that line') from None
        raise  # from inside of the module


def name_of(registered: Mapping[str, str], found: Any) -> str:
    """The name under which a class or function is registered; its own name where it is not."""
    where = f"{found.__module__}:{found.__qualname__}"
    return next((name for name, known in registered.items() if known == where), found.__qualname__)
