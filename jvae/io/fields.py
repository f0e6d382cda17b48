"""A JSON object in; a dataclass out, each of whose fields has the type it is annotated with."""

import dataclasses
import json
import reprlib
import typing
from typing import Any, Literal, TypeVar

from jvae.errors import damaged

T = TypeVar("T")

_LARGEST = 2**63  # integers beyond it fit no array


def read_object(text: str | bytes, what: str) -> dict[str, Any]:
    """The fields of a JSON object, of any type.

    Args:
      text: JSON, as bytes in UTF-8.
      what: to call it in an error: "runs/x/config.json".

    Raises:
      InputError: it is no JSON, is nested too deep, or is not an object.
    """
    try:
        fields = json.loads(text)
    except RecursionError:
        raise damaged(what, "its lists lie too deep in one another") from None
    except ValueError as error:  # bytes that are no text and numbers of thousands of digits, too
        raise damaged(what, f"it is not JSON ({error})") from None
    if not isinstance(fields, dict):
        raise damaged(what, f"it is {_kind(fields)}, not an object with named fields")
    return fields


def build(cls: type[T], fields: dict[str, Any], what: str) -> T:
    """The dataclass `cls` of these fields; lists become tuples.

    The annotations may be int, float, str, bool, Literal, tuple[X, ...], dict[str, X] and X | None.

    Raises:
      InputError: a field lacks, is unknown, or is of another type; or what `cls` itself says of the values.
    """
    hints, known = typing.get_type_hints(cls), dataclasses.fields(cls)  # type: ignore[arg-type]
    if unknown := fields.keys() - {f.name for f in known}:
        raise damaged(what, f"it has the unknown field {min(unknown)!r}")
    values = {}
    for field in known:
        if field.name in fields:
            values[field.name] = _typed(fields[field.name], hints[field.name], what, field.name)
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise damaged(what, f"it has no {field.name}")
    return cls(**values)


def _typed(value: Any, hint: Any, what: str, name: str) -> Any:
    args = typing.get_args(hint)
    if type(None) in args:
        if value is None:
            return None
        (hint,) = (a for a in args if a is not type(None))
        args = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if origin is tuple and isinstance(value, list):
        return tuple(_typed(v, args[0], what, name) for v in value)
    if origin is dict and isinstance(value, dict):
        return {k: _typed(v, args[1], what, name) for k, v in value.items()}
    if origin is Literal and isinstance(value, str) and value in args:
        return value
    if isinstance(value, int) and abs(value) >= _LARGEST:
        raise damaged(what, f"{name} is an integer of {value.bit_length()} bits, and 63 are the most")
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if hint in (int, str, bool) and type(value) is hint:
        return value
    raise damaged(what, f"{name} is {reprlib.repr(value)}, not {_name(hint)}")


def _kind(value: Any) -> str:
    return {list: "a list", str: "a text", type(None): "null"}.get(type(value), f"the value {reprlib.repr(value)}")


def _name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint).replace("typing.", "")
