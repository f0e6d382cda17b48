"""Labels, names and splits of a source as they are packed, and those that are refused."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jvae.data.packed import PackedStore
from jvae.data.source import Example
from jvae.errors import InputError
from tests.sources import Pictures, Rendered, small


class Labelled(Pictures):
    """Four pictures with one row of labels that is given, and another split."""

    def __init__(self, row: Any, names: tuple[str, ...] = ("Even", "Large"), split: str = "train"):
        super().__init__(4)
        self.row, self.attribute_names, self.split = row, names, split

    def __getitem__(self, index: int, /) -> Example:
        plain = np.zeros(len(self.attribute_names), int)
        return Example(super().__getitem__(index).image, self.row if index == 2 else plain, f"f{index}", self.split)


@pytest.mark.parametrize("row", [[1, 0], [True, False], np.array([1.0, 0.0]), np.array([1, 0], np.uint8), (1, False)])
def test_labels_are_booleans_or_0_and_1(tmp_path: Path, row: Any) -> None:
    assert small(Labelled(row), tmp_path / "out").attrs.tolist() == [[0, 0], [0, 0], [1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1, -1], "image f2 has -1 for Large: a label is False or True, or 0 or 1"),
        ([0.9, 0], "image f2 has 0.9 for Even: a label is"),
        ([0, float("nan")], "image f2 has nan for Large: a label is"),
        (["1", "0"], "image f2 has '1' for Even: a label is"),
        ([1, None], "image f2 has None for Large: a label is"),
        ([1, 0, 1], "image f2 has 3 labels and the source 2 attributes: give one for each"),
        ([1], "image f2 has 1 labels and the source 2 attributes"),
        (True, "image f2 has 1 labels and the source 2 attributes"),
    ],
)
@pytest.mark.parametrize("skip_bad", [False, True])
def test_labels_that_are_none_are_refused(tmp_path: Path, row: Any, message: str, skip_bad: bool) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        small(Labelled(row), tmp_path / "out", skip_bad=skip_bad)
    assert os.listdir(tmp_path) == []


def test_labels_drawn_by_the_batch_are_checked_too(tmp_path: Path) -> None:
    source = Rendered(70)
    source.labels = lambda indices: np.where(indices[:, None] == 60, -1, [[0, 1]])
    with pytest.raises(InputError, match="image face-0060 has -1 for Even: a label is"):
        small(source, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "is empty"),
        (" Bald", "begins or ends with a blank"),
        ("a,b", "holds a comma or a quote"),
        ('a"b', "holds a comma or a quote"),
        ("a&b", "holds &, which joins two attributes"),
        ("../a", "holds /, which parts folders"),
        ("a\nb", "holds a character that does not print"),
        ("Even", "is there twice"),
        ("split", "is the name of another column"),
        ("x" * 99_000, "have names of 99,006 bytes, more than 98,000: use fewer"),
    ],
)
def test_names_that_no_attribute_may_have(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        small(Labelled([0, 0], ("Even", name)), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_any_other_name_comes_back(tmp_path: Path) -> None:
    names = ("5 o'clock", "race=2", "age=40..", "bärtig", "NA", "a;b", "#", "-x")
    small(Labelled([1, 0] * 4, names), tmp_path / "out")
    store = PackedStore.open(tmp_path / "out")
    assert store.attribute_names == names and store.attrs[2].tolist() == [True, False] * 4


def test_a_split_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="image f0 is of the split 'val': a split is train, validation, test"):
        small(Labelled([1, 0], split="val"), tmp_path / "out")


def test_a_name_that_is_not_utf_8_is_bad(tmp_path: Path) -> None:
    class Odd(Pictures):
        def __getitem__(self, index: int, /) -> Example:
            return super().__getitem__(index)._replace(image_id="a\udcff")

    with pytest.raises(InputError, match="which is not in UTF-8: rename it"):
        small(Odd(3), tmp_path / "out")


def test_a_store_without_attributes(tmp_path: Path) -> None:
    small(Labelled([], ()), tmp_path / "out")
    store = PackedStore.open(tmp_path / "out")
    store.verify()
    assert store.attribute_names == () and store.attrs.shape == (4, 0) and store.attrs.dtype == bool
    assert (store.path / "labels.csv").read_text() == "image_id,split\nf0,train\nf1,train\nf2,train\nf3,train\n"
    with pytest.raises(InputError, match="unknown attribute 'Bald': the data has none; pack it with labels"):
        store.attribute("Bald")
