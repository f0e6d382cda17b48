"""Any folder of images with any labels: the layouts people have, against pandas and Pillow, and every refusal."""

import io
import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import jvae
from jvae.data.decoded import DecodedStore
from jvae.data.packed import PackedStore, pack
from jvae.data.sources.celeba import CelebAFolder
from jvae.data.sources.folder import FolderSource, match
from jvae.data.sources.splits import complete
from jvae.data.sources.tables import read_frame
from jvae.errors import InputError
from tests.celeba_files import NAMES, SPLIT_OF, picture, write_celeba

SAVED = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "bmp": "BMP", "tif": "TIFF", "gif": "GIF"}


def write(root: Path, *names: str, size: int = 20) -> list[str]:
    """Images of these paths, each another, in the format that its suffix says."""
    for i, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        options = {"lossless": True} if name.endswith("webp") else {}
        Image.fromarray(picture(i, size, size)).save(path, SAVED.get(name.rpartition(".")[2].lower(), "PNG"), **options)
    return list(names)


def packed(source: FolderSource, out: Path, size: int = 16) -> PackedStore:
    return pack(source, out, size=size, crop="squash", progress=False)


def reference(path: Path, size: int = 16) -> np.ndarray:
    """What Pillow makes of an image: its first picture, resized."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))


def labels_of(source: FolderSource) -> dict[str, dict[str, bool]]:
    rows = [dict(zip(source.attribute_names, row, strict=True)) for row in source.attrs.tolist()]
    return dict(zip(source.image_ids.tolist(), rows, strict=True))


def said(*args: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        FolderSource(*args, **options)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_every_format_in_any_nesting_without_labels(tmp_path: Path) -> None:
    names = write(tmp_path / "in", *(f"a/{'b/' * i}{i}.{suffix}" for i, suffix in enumerate(SAVED)), "UP.JPG", "x.PNG")
    (tmp_path / "in" / "liar.png").write_bytes((tmp_path / "in" / "UP.JPG").read_bytes())  # what it is, its bytes say
    for other in ("notes.txt", "labels.csv", ".hidden.png", "a/._0.jpg", "__MACOSX/0.jpg"):
        (tmp_path / "in" / other).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / other).write_bytes(b"no image")
    store = packed(FolderSource(tmp_path / "in"), tmp_path / "out")
    assert store.image_ids.tolist() == sorted([*names, "liar.png"])
    assert store.attribute_names == () and store.attrs.shape == (len(names) + 1, 0)
    for name, image in zip(store.image_ids, store.images, strict=True):
        error = np.abs(image.astype(int) - reference(tmp_path / "in" / name))
        assert error.max() <= (2 if name.lower().endswith(("jpg", "jpeg")) or name == "liar.png" else 1), name
    assert set(store.splits) == {"train", "validation", "test"}
    streamed = DecodedStore(FolderSource(tmp_path / "in"), size=16, crop="squash")
    rows = np.asarray(streamed.indices("train"))
    np.testing.assert_array_equal(streamed.images[rows], store.images[store.indices("train")])
    assert streamed.attrs.shape == store.attrs.shape


def test_links_are_followed_and_never_in_a_circle(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "1.png")
    write(tmp_path / "in", "a/0.png")
    (tmp_path / "in" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "a" / "up").symlink_to(tmp_path / "in")
    os.mkfifo(tmp_path / "in" / "pipe.png")  # opening it would wait for ever
    assert FolderSource(tmp_path / "in").image_ids.tolist() == ["a/0.png", "b/1.png"]


def test_a_zip_reads_as_its_folder_and_can_be_sent_to_a_process(tmp_path: Path) -> None:
    names = write(tmp_path / "in", "train/yes/0.png", "train/no/0.png", "test/no/1.png", "val/yes/2.png")
    with zipfile.ZipFile(tmp_path / "in.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.write(tmp_path / "in" / name, name)
        archive.writestr("__MACOSX/train/yes/0.png", b"")
    folder = FolderSource(tmp_path / "in", labels="folders")
    for zipped in (FolderSource(tmp_path / "in.zip", labels="folders"),):
        sent = pickle.loads(pickle.dumps(zipped))
        for i in range(4):
            one, other, third = folder[i], zipped[i], sent[i]
            assert one.image == other.image == third.image and one.image_id == other.image_id == third.image_id
            assert one.split == other.split and one.attrs.tolist() == other.attrs.tolist()


CELEBA_HQ = """4
Bald  Smiling Young
0.jpg   1 -1 -1
1.jpg  -1  1 -1
2.jpg  -1 -1  1
3.jpg   1  1  1
"""


@pytest.mark.parametrize("folder", ["", "CelebA-HQ-img", "celeba_hq/images"])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_celeba_hq_and_any_other_attributes_in_celebas_own_format(tmp_path: Path, folder: str, suffix: str) -> None:
    write(tmp_path / folder, *(f"{i}.{suffix}" for i in range(4)))
    (tmp_path / "CelebAMask-HQ-attribute-anno.txt").write_text(CELEBA_HQ)
    store = packed(FolderSource(tmp_path, labels="CelebAMask-HQ-attribute-anno.txt"), tmp_path / "out")
    assert store.image_ids.tolist() == [f"{i}.jpg" for i in range(4)]
    assert store.attribute_names == ("Bald", "Smiling", "Young")
    assert store.attrs.tolist() == [[True, False, False], [False, True, False], [False, False, True], [True] * 3]
    for i, image in enumerate(store.images):
        assert np.abs(image.astype(int) - reference(tmp_path / folder / f"{i}.{suffix}")).max() <= 2


def test_ffhq_and_lfw_are_packed_as_they_lie(tmp_path: Path) -> None:
    ffhq = write(tmp_path / "ffhq", *(f"{i // 1000:02d}000/{i:05d}.png" for i in (0, 1, 1000, 69999)))
    assert FolderSource(tmp_path / "ffhq").image_ids.tolist() == ffhq
    lfw = write(tmp_path / "lfw", *(f"{n}/{n}_000{i}.jpg" for n in ("Ann_Test", "Val_Kilmer") for i in (1, 2)))
    source = FolderSource(tmp_path / "lfw")
    assert source.image_ids.tolist() == lfw and source.message.startswith("split at random by id: ")
    (tmp_path / "lfw.csv").write_text("name,Male\nAnn_Test_0001,0\nVal_Kilmer_0002.jpg,1\n")
    source = FolderSource(tmp_path / "lfw", labels=str(tmp_path / "lfw.csv"))
    assert labels_of(source) == {"Ann_Test_0001": {"Male": False}, "Val_Kilmer_0002.jpg": {"Male": True}}
    assert "2 of 4 images have no row in lfw.csv and are left out: Ann_Test/Ann_Test_0002.jpg" in source.message


UTK = ["20_0_1_201701.jpg", "61_1_0_201702.jpg", "40_1_3_201703.jpg", "39_1_201704.jpg", "5_0_1_201705.jpg"]
UTK_PATTERN = r"(?P<age>\d+)_(?P<gender>[01])_(?P<race>[0-4])_"


def test_utkface_by_a_pattern(tmp_path: Path) -> None:
    write(tmp_path / "in", *(f"part{i % 2}/{name}.chip.jpg" for i, name in enumerate(UTK)))
    source = FolderSource(
        tmp_path / "in", pattern=UTK_PATTERN, attributes=("gender", "race=1", "age=40..", "age=..20", "age=10..40")
    )
    assert "1 of 5 images do not fit the pattern and are left out: part1/39_1_201704.jpg.chip.jpg" in source.message
    for image_id, row in labels_of(source).items():
        age, gender, race = map(int, image_id.split("/")[1].split("_")[:3])
        expected = [gender == 1, race == 1, age >= 40, age <= 20, 10 <= age <= 40]
        assert list(row.values()) == expected, image_id
    assert packed(source, tmp_path / "out").attribute_names == (
        "gender",
        "race=1",
        "age=40..",
        "age=..20",
        "age=10..40",
    )
    every = FolderSource(tmp_path / "in", pattern=r"_(?P<gender>[01])_(?P<race>[0-4])_(?P<place>\d+)")
    places = tuple(f"place={n[-10:-4]}" for n in UTK if n != UTK[3])
    assert every.attribute_names == ("gender", "race=0", "race=1", "race=3", *places)
    assert every.attrs[:, 1:4].sum(axis=1).tolist() == [1] * 4


@pytest.mark.parametrize(
    ("names", "attributes", "splits"),
    [
        (["happy/0.png", "sad/1.png", "sad/2.png"], ["happy", "sad", "sad"], None),
        (["d/train/happy/0.png", "d/test/sad/1.png"], ["happy", "sad"], ["train", "test"]),
        (["archive/archive/happy/Train/0.png", "archive/archive/sad/VALID/1.png"], ["happy", "sad"], None),
        (["x/happy/one/0.png", "x/sad/one/1.png"], ["happy", "sad"], None),
        (["x/happy/0.png", "y/happy/1.png"], ["x", "y"], None),
        (["testing/a/b/happy/deep/0.png", "training/a/b/sad/1.png"], ["happy", "sad"], ["test", "train"]),
    ],
)
def test_folders_names_as_labels(tmp_path: Path, names: list[str], attributes: list[str], splits: Any) -> None:
    source = FolderSource((write(tmp_path, *names), tmp_path)[1], labels="folders")
    assert source.attribute_names == tuple(sorted(set(attributes)))
    found = labels_of(source)
    for name, attribute in zip(names, attributes, strict=True):
        assert [n for n, yes in found[name].items() if yes] == [attribute]
    if splits:
        named = dict(zip(source.image_ids, source.splits, strict=True))
        assert {named[n] for n in names} >= {s for s in splits if s == "test"} and named[names[0]] == splits[0]


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


def test_folders_that_are_refused(tmp_path: Path) -> None:
    assert "does not exist: give a folder of images, or a zip" in said(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "x.txt").write_text("")
    assert "no images in" in said(tmp_path / "empty")
    assert "x.txt is not a whole zip file" in said(tmp_path / "empty" / "x.txt")
    write(tmp_path / "one", "a/0.png", "a/1.png")
    assert "--labels folders: a/0.png and the others lie in no folders of different names" in said(
        tmp_path / "one", labels="folders"
    )
    for i in range(201):
        (tmp_path / "many" / f"{i:03d}").mkdir(parents=True)
        (tmp_path / "many" / f"{i:03d}" / "0.png").write_bytes(b"")
    assert "there are 201 folders (000, 001, ...), and 200 are the most" in said(tmp_path / "many", labels="folders")
    write(tmp_path / "half", "train/0.png", "1.png")
    assert "the folders say that 1.png is of no split, and train/0.png is of one" in said(tmp_path / "half")
    assert FolderSource(tmp_path / "half", split="random").message.startswith("split at random")
    write(tmp_path / "both", "train/test/0.png", "train/1.png")
    assert "train/test/0.png is of test and train" in said(tmp_path / "both")


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


def test_splits_by_id_never_change_and_every_one_exists(tmp_path: Path) -> None:
    ids = [f"{i:06d}.jpg" for i in range(5000)]
    splits, made = complete(np.full(5000, "train"), ids)
    assert made == ["test", "validation"]
    for split in made:
        assert abs((splits == split).mean() - 0.1) < 0.02
    fewer, _ = complete(np.full(2500, "train"), ids[::2])
    np.testing.assert_array_equal(fewer, splits[::2])
    for n, expected in ((1, 1), (2, 2), (3, 3), (12, 3)):
        assert len(set(complete(np.full(n, "train"), ids[:n])[0])) == expected
    kept, made = complete(np.array(["test"] * 50 + ["train"] * 950), ids[:1000])
    assert made == ["validation"] and (kept[:50] == "test").all() and 60 < (kept == "validation").sum() < 140
    assert (kept == "test").sum() == 50


def test_a_split_that_folders_lack_is_taken_from_train(tmp_path: Path) -> None:
    write(tmp_path, *(f"train/{i}.png" for i in range(8)), "test/8.png", "test/9.png")
    source = FolderSource(tmp_path)
    assert source.message == "split by folders' names; validation by id from train: 7 train, 2 test, 1 validation"
    assert [s for i, s in zip(source.image_ids, source.splits, strict=True) if i.startswith("test")] == ["test", "test"]


def test_celeba_by_its_own_source_and_by_this_one(tmp_path: Path) -> None:
    write_celeba(tmp_path / "celeba", layout="kaggle")
    (tmp_path / "celeba" / "img_align_celeba" / "img_align_celeba" / NAMES[1]).unlink()
    celeba = CelebAFolder(tmp_path / "celeba")
    for split in ("list_eval_partition.csv", None):
        source = FolderSource(tmp_path / "celeba", labels="list_attr_celeba.csv", split=split)
        assert source.image_ids.tolist() == celeba.image_ids.tolist() and source.missing == celeba.missing == 1
        assert source.attribute_names == celeba.attribute_names
        np.testing.assert_array_equal(source.attrs, celeba.attrs)
        if split:
            np.testing.assert_array_equal(source.splits, celeba.splits)
    one = packed(FolderSource(tmp_path / "celeba", labels="list_attr_celeba.csv", split=split), tmp_path / "one")
    other = pack(celeba, tmp_path / "other", size=16, crop="squash", progress=False)
    np.testing.assert_array_equal(one.images, other.images)
    (tmp_path / "celeba" / "list_eval_partition.csv").write_text(f"image_id,partition\n{NAMES[0]},0\n")
    assert f"has no row for img_align_celeba/img_align_celeba/{NAMES[2]}: add one" in said(
        tmp_path / "celeba", labels="list_attr_celeba.csv", split="list_eval_partition.csv"
    )


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


def test_a_file_that_vanished_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a/0.png", "a/1.png")
    source = FolderSource(tmp_path)
    (tmp_path / "a" / "1.png").unlink()
    with pytest.raises(InputError, match="cannot read a/1"):
        source[1]
    assert source[0].image == (tmp_path / "a" / "0.png").read_bytes()


def test_it_is_public() -> None:
    assert jvae.FolderSource is FolderSource and {"Source", "Store"} <= set(jvae.__all__)
