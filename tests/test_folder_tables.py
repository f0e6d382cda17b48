"""A folder of images and a table of its labels, against pandas, and every refusal."""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jvae.data.sources.celeba import CelebAFolder
from jvae.data.sources.folder import FolderSource, match
from jvae.data.sources.tables import read_frame
from jvae.errors import InputError
from tests.celeba_files import SPLIT_OF, write_celeba
from tests.folders import packed, reference, said, write

TABLE = """image, Smiling ,Bald,Male,Old,age,url,Set
a/0.png,1,-1,TRUE,yes,37,http://x,train
a/1.png,0,1,False,No,3,http://y,val
b/0.png,1.0,-1,true,NO,55,http://z,TEST
"""


@pytest.mark.parametrize("sep", [",", "\t", ";", " "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_of_any_kind_is_what_pandas_reads(tmp_path: Path, sep: str, end: str) -> None:
    paths = write(tmp_path / "in", "a/0.png", "a/1.png", "b/0.png")
    text = re.sub(" ?, ?", sep, TABLE)
    (tmp_path / "labels.csv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", end).encode())
    source = FolderSource(tmp_path / "in", labels=str(tmp_path / "labels.csv"), id="image", split="Set")
    frame = pd.read_csv(io.StringIO(text), sep=sep)
    frame.columns = frame.columns.str.strip()
    store = packed(source, tmp_path / "out")
    assert store.image_ids.tolist() == frame["image"].tolist() == paths
    assert store.attribute_names == ("Smiling", "Bald", "Male", "Old")
    expected = [frame["Smiling"] == 1, frame["Bald"] == 1, frame["Male"], frame["Old"].str.lower() == "yes"]
    np.testing.assert_array_equal(store.attrs, np.stack(expected, axis=1).astype(bool))
    assert store.splits.tolist() == ["train", "validation", "test"]
    assert source.message.splitlines() == [
        "labels.csv: no labels, so left out: age ('37'), url ('http://x')",
        "split by Set of labels.csv: 1 train, 1 validation, 1 test",
    ]
    some = FolderSource(
        tmp_path / "in",
        labels=str(tmp_path / "labels.csv"),
        split="random",
        attributes=("Old", "age=30..50", "Set=val"),
    )
    assert some.attrs.tolist() == [[True, True, False], [False, False, True], [False, False, False]]
    for path, image in zip(paths, store.images, strict=True):
        assert np.abs(image.astype(int) - reference(tmp_path / "in" / path)).max() <= 1


def test_a_probability_with_a_threshold(tmp_path: Path) -> None:
    write(tmp_path, "0.png", "1.png", "2.png")
    (tmp_path / "p.csv").write_text("id,Smiling,Bald\n0,.69,1\n1,0.7,0\n2,1,1\n")
    source = FolderSource(tmp_path, labels="p.csv", threshold=0.7)
    assert source.attrs.tolist() == [[False, True], [True, False], [True, True]]
    assert "p.csv has '.69' for Smiling of 0: labels are 0 and 1" in said(
        tmp_path, labels="p.csv", attributes=("Smiling",)
    )
    assert "threshold=2 is no probability" in said(tmp_path, labels="p.csv", threshold=2.0)
    (tmp_path / "p.csv").write_text("id,Smiling,Bald\n0,1,1\n1,0,0\n2,1,1\n")
    assert "threshold=0.7: p.csv has no column of probabilities" in said(tmp_path, labels="p.csv", threshold=0.7)


@pytest.mark.parametrize("value", ["2", "maybe", "", "nan", "0.5", "-1.5", "1_0", "TRUE!", "0x1", "inf"])
def test_a_value_that_is_no_label_is_refused_by_name(tmp_path: Path, value: str) -> None:
    write(tmp_path, *(f"{i}.png" for i in range(4)))
    (tmp_path / "t.csv").write_text(f"id,Bald,Smiling\n0,1,0\n1,1,1\n2,0,{value}\n3,0,0\n")
    shown = f"'{value}'" if value else "no value"
    assert said(tmp_path, labels="t.csv").startswith(
        f"t.csv has {shown} for Smiling of 2: labels are 0 and 1, -1 and 1,"
    )
    assert FolderSource(tmp_path, labels="t.csv", attributes=("Bald",)).attribute_names == ("Bald",)


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ("id,A\n0,1\n1,0,1\n", {}, "t.csv cannot be read (Error tokenizing data. C error: Expected 2 fields in line 3"),
        ("id,A\n0,1\n1\n", {}, "t.csv has no value for A of 1: labels are"),
        (
            "id,A\n0,0\n1,-1\n",
            {},
            "t.csv has '0' for A of 0: it has -1 too, and which of the two means no is",
        ),
        ("id,A,A\n0,1,1\n", {}, "t.csv has more than one column A: rename one"),
        ("id,A\n0,1\n0,1\n", {}, "t.csv has more than one row for 0: keep one"),
        ("id,A\n0,1\n0.png,1\n", {}, "t.csv has 0 and 0.png for a/0.png: keep one"),
        ("id,A\n", {}, "t.csv has no rows"),
        ("", {}, "t.csv has no rows"),
        ("id,A\n\xff,1\n", {}, "no image of"),
        (
            "id,A\n7,1\n",
            {},
            "is in the column id of t.csv: the first image is a/0.png, the first row 7; name",
        ),
        ("id,A\n0,1\n", {"id": "Id"}, "unknown column of t.csv 'Id': did you mean id?"),
        ("id,A\n0,1\n", {"split": "set"}, "unknown column or table of splits 'set': there are: A, folders, random"),
        (
            "id,A,B\n0,1,dev\n",
            {"split": "B"},
            "t.csv has 'dev' for B of 0: a split is train, val or test, or 0",
        ),
        ("id,A\n0,1\n", {"attributes": ("a",)}, "unknown column of t.csv 'a': did you mean A?"),
        ("id,A\n0,x\n", {"attributes": ("A=y",)}, "unknown value of A in t.csv 'y'"),
        ("id,A\n0,x\n", {"attributes": ("A=1..",)}, "t.csv has 'x' for A of 0: a range needs numbers"),
        ("id,A\n0,x\n", {}, "t.csv has no column of labels: name some with --attributes, or give a --threshold"),
        ("id,A&B\n0,1\n", {}, "attribute 'A&B' holds &, which joins two attributes"),
        ('id,"A,B"\n0,1\n', {}, "attribute 'A,B' holds a comma or a quote"),
        ("id,A\n0,1\n", {"pattern": "(?P<a>.)"}, "give --labels or --pattern, not both"),
        ("3\nA\n0.png 1\n", {}, "t.csv says 3 rows and has 1: it is cut"),
        ("id," + "x" * 100_001, {}, "t.csv has a line of more than 100,000 characters"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, table: str, options: dict[str, Any], message: str) -> None:
    write(tmp_path / "in", "a/0.png", "b/1.png")
    (tmp_path / "in" / "t.csv").write_text(table)
    assert message in said(tmp_path / "in", labels="t.csv", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": "none.csv"}, "there is no table none.csv, nor one in"),
        ({"labels": "folders", "attributes": ("a",)}, "--attributes is about a table of labels, and there is none"),
        ({"id": "image"}, "--id is about a table of labels"),
        ({"threshold": 0.5}, "--threshold is about a table of labels"),
        ({"pattern": "(?P<a>.)", "id": "a"}, "--id is about a table of labels"),
        ({"pattern": "("}, "the pattern '(' is no regular expression: missing )"),
        ({"pattern": "[0-9]"}, "the pattern '[0-9]' names no group: write (?P<NAME>...)"),
        ({"pattern": "(?P<a>zzz)"}, "the pattern '(?P<a>zzz)' is found in no image's name: a/0.png is the first"),
        ({"split": "folders"}, "--split folders: no folder in"),
        ({"split": "table.txt"}, "unknown column or table of splits 'table.txt'"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    write(tmp_path, "a/0.png", "b/1.png")
    assert message in said(tmp_path, **options)


@pytest.mark.parametrize(
    ("row", "image"),
    [
        ("a/0.jpg", "a/0.jpg"),
        ("./a/0.jpg", "a/0.jpg"),
        ("a\\0.jpg", "a/0.jpg"),
        ("/home/me/data/a/0.jpg", "a/0.jpg"),
        ("a/0", "a/0.jpg"),
        ("a/0.png", "a/0.jpg"),
        ("1.jpg", "b/c/1.jpg"),
        ("1", "b/c/1.jpg"),
        ("c/1.jpg", "b/c/1.jpg"),
        ("2.v1", "2.v1.jpg"),
        ("3.png", "d/3.png"),
        ("e/1.jpg", None),
        ("c", None),
        ("2", None),
    ],
)
def test_what_a_row_names(row: str, image: str | None) -> None:
    paths = ["a/0.jpg", "b/0.jpg", "b/c/1.jpg", "2.v1.jpg", "d/3.jpg", "d/3.png"]
    assert match(paths, [row], "t").tolist() == [0 if path == image else -1 for path in paths]


@pytest.mark.parametrize("row", ["0.jpg", "0", "x/0.png"])
def test_a_row_that_names_two_images_is_refused(row: str) -> None:
    paths = ["a/x/0.jpg", "b/x/0.jpg"]
    with pytest.raises(InputError, match=f"{row} of t may be a/x/0.jpg or b/x/0.jpg: write the path"):
        match(paths, [row], "t")


def test_another_set_of_attributes_is_pointed_to_this_source(tmp_path: Path) -> None:
    write_celeba(tmp_path)
    table = pd.read_csv(tmp_path / "list_attr_celeba.txt", sep=r"\s+", skiprows=1).iloc[:, :7].assign(Own=1)
    lines = [str(len(table)), " ".join(table.columns)]
    lines += [f"{name} " + " ".join(map(str, row)) for name, row in zip(table.index, table.to_numpy(), strict=True)]
    (tmp_path / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=f"jvae pack folder {tmp_path} --labels list_attr_celeba.txt"):
        CelebAFolder(tmp_path)
    source = FolderSource(tmp_path, labels="list_attr_celeba.txt", split="list_eval_partition.txt")
    assert source.attribute_names == tuple(table.columns) and source.splits.tolist() == list(SPLIT_OF.values())
    np.testing.assert_array_equal(source.attrs, table.to_numpy() == 1)


def test_a_headless_first_column_and_blanks(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("A  B\n0.png  1 -1\n1.png -1  1\n")
    frame = read_frame(tmp_path / "t.txt")
    assert list(frame.columns) == ["image_id", "A", "B"] and frame["image_id"].tolist() == ["0.png", "1.png"]
    frame.drop(columns="image_id").to_csv(tmp_path / "index.csv")  # as pandas writes it, with a column of no name
    assert list(read_frame(tmp_path / "index.csv").columns) == ["image_id", "A", "B"]
