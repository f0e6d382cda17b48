import dataclasses
import json
import math
import typing
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jvae.config import LoopConfig, OptimizerConfig, Settings
from jvae.data.packing import Meta
from jvae.errors import InputError
from jvae.io.fields import build, read_object
from jvae.models.book import Book

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
CONFIGS = (LoopConfig(steps=3), OptimizerConfig(), Book())
META: dict[str, Any] = dict(source="x", count=3, counts={"train": 3}, source_count=3, size=16, crop="center") | dict(
    attribute_names=["Bald"], missing=0, skipped={"a": "b"}, crc32={"images.npy": "00000000", "labels.csv": "00000000"}
)


@dataclasses.dataclass(frozen=True)
class Sample:
    number: int
    share: float = 0.5
    name: Literal["a", "b"] = "a"
    names: tuple[str, ...] = ()
    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    size: int | None = None
    flag: bool = False


def said(fields: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        build(Sample, fields, "x.json")
    return str(caught.value)


def test_fields_become_what_they_are_annotated_with():
    text = '{"number": 3, "share": 1, "name": "b", "names": ["x", "y"], "counts": {"z": 1}, "size": null, "flag": true}'
    found = build(Sample, read_object(text, "x.json"), "x.json")
    assert found == Sample(3, 1, "b", ("x", "y"), {"z": 1}, None, True)
    assert build(Sample, {"number": 1, "size": 4}, "x.json") == Sample(1, size=4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"number": "3"}, "x.json is damaged: number is '3', not int"),
        ({"number": True}, "number is True, not int"),
        ({"number": 3.0}, "number is 3.0, not int"),
        ({"number": 10**400}, "number is an integer of 1329 bits, and 63 are the most"),
        ({"share": "1"}, "share is '1', not float"),
        ({"share": 10**400}, "share is an integer of 1329 bits"),
        ({"share": False}, "share is False, not float"),
        ({"name": "c"}, "name is 'c', not Literal['a', 'b']"),
        ({"name": ["a"]}, "name is ['a'], not Literal['a', 'b']"),
        ({"names": "xyz"}, "names is 'xyz', not tuple[str, ...]"),
        ({"names": ["x", 1]}, "names is 1, not str"),
        ({"counts": []}, "counts is [], not dict[str, int]"),
        ({"counts": {"a": None}}, "counts is None, not int"),
        ({"size": "x"}, "size is 'x', not int"),
        ({"colour": 1}, "unknown field 'colour'"),
    ],
)
def test_a_field_of_another_type_is_named(changes, message):
    assert message in said({"number": 1} | changes)


def test_a_field_that_lacks_is_named():
    assert said({}) == "x.json is damaged: it has no number; make it anew"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is not JSON"),
        ("{", "it is not JSON"),
        ("[" * 100_000, "lie too deep in one another"),
        ('{"a":' * 100_000, "lie too deep in one another"),
        ("9" * 5000, "it is not JSON"),
        (b"\xff\xfe\x00", "it is not JSON"),
        (b'{"a": "\xc3"}', "it is not JSON"),
        ("[]", "it is a list, not an object"),
        ("null", "it is null"),
        ("12", "it is the value 12"),
    ],
)
def test_what_is_no_object_is_said(text, message):
    with pytest.raises(InputError) as caught:
        read_object(text, "x.json")
    assert str(caught.value).startswith("x.json is damaged: ") and message in str(caught.value)


def right(value: Any, hint: Any) -> bool:
    """By another way than `build`'s."""
    args = typing.get_args(hint)
    if type(None) in args:
        return value is None or right(value, args[0])
    if typing.get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(right(v, args[0]) for v in value)
    if typing.get_origin(hint) is dict:
        return isinstance(value, dict) and all(right(v, args[1]) for v in value.values())
    if typing.get_origin(hint) is Literal:
        return value in args
    return type(value) in ((int, float) if hint is float else (hint,))


@pytest.mark.parametrize(("cls", "whole"), [(type(c), dataclasses.asdict(c)) for c in CONFIGS] + [(Meta, META)])
@given(data=st.data())
def test_any_value_of_any_field_gives_its_type_or_one_line(cls, whole, data):
    name = data.draw(st.sampled_from(sorted(whole)))
    fields = whole | {name: data.draw(values)}
    try:
        found = build(cls, read_object(json.dumps(fields), "x.json"), "x.json")
    except InputError as error:
        assert str(error).isprintable()
        return
    hints = typing.get_type_hints(cls)
    assert all(right(getattr(found, f.name), hints[f.name]) for f in dataclasses.fields(cls))
    if issubclass(cls, Settings):
        numbers = [v for v in vars(found).values() if isinstance(v, int | float)]
        assert all(math.isfinite(v) for v in numbers)
