"""CelebA's folders, zips and tables as people have them, and what is said of those that are not right."""

import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from jvae.data.source import SPLITS
from jvae.data.sources.celeba import ATTRIBUTES, CelebAFolder, splits_by_number
from jvae.data.sources.folder import FolderSource
from jvae.errors import InputError
from tests.celeba_files import (
    NAMES,
    PARTITION,
    SPLIT_OF,
    TABLE,
    attribute_table,
    attributes,
    partition_table,
    said,
    write_celeba,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_celeba(tmp_path / "celeba")
    return tmp_path / "celeba"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_names_are_the_official_ones() -> None:
    assert len(set(ATTRIBUTES)) == 40
    assert [ATTRIBUTES.index(n) for n in ("5_o_Clock_Shadow", "Eyeglasses", "Male", "Smiling", "Young")] == [
        0,
        15,
        20,
        31,
        39,
    ]


@pytest.mark.parametrize("layout", ["lf", "crlf", "csv", "kaggle", "zip", "deflated", "official"])
def test_every_layout_reads_the_same(tmp_path: Path, layout: str) -> None:
    files = write_celeba(tmp_path, layout=layout)
    source = CelebAFolder(tmp_path)
    where = f"{'Eval/' * (layout == 'official')}list_eval_partition.{'csv' if layout in ('csv', 'kaggle') else 'txt'}"
    assert len(source) == len(NAMES)
    assert source.missing == 0 and source.message == f"split by {where}"
    assert source.name == ("CelebA zip" if layout in ("zip", "deflated", "official") else "CelebA folder")
    for i, (name, attrs) in enumerate(zip(NAMES, attributes(len(NAMES)), strict=True)):
        example = source[i]
        assert (example.image_id, example.split, example.image) == (name, SPLIT_OF[name], files[name])
        assert example.attrs.dtype == bool
        np.testing.assert_array_equal(example.attrs, attrs)


def test_order_is_the_tables_and_a_subset_is_counted(root: Path) -> None:
    for name in NAMES[1:5]:
        (root / "img_align_celeba" / name).unlink()
    names = NAMES[::-1]
    (root / TABLE).write_text(attribute_table(names, attributes(len(names))))
    source = CelebAFolder(root)
    assert list(source.image_ids) == [n for n in names if n not in NAMES[1:5]]
    assert source.missing == 4
    missing, split = source.message.splitlines()
    assert missing == "8 of the 12 images in list_attr_celeba.txt are here; 4 are missing"
    assert split == f"split by {PARTITION}"
    np.testing.assert_array_equal(source[0].attrs, attributes(12)[0])
    np.testing.assert_array_equal(source[len(source) - 1].attrs, attributes(12)[11])


def test_zero_means_no_and_csv_columns_may_be_in_any_order(root: Path) -> None:
    (root / TABLE).unlink()
    table = attribute_table(NAMES, attributes(12), no=0, csv=True)
    rows = [line.split(",") for line in table.splitlines()]
    order = [0, *np.random.default_rng(0).permutation(np.arange(1, 41))]
    (root / "list_attr_celeba.csv").write_text("\n".join(",".join(row[j] for j in order) for row in rows))
    np.testing.assert_array_equal(CelebAFolder(root).attrs, attributes(12))


def test_partition_table_goes_before_numbers_and_numbers_do_without_it(root: Path) -> None:
    other = {name: SPLITS[i % 3] for i, name in enumerate(NAMES)}
    (root / PARTITION).write_text(partition_table(other))
    assert dict(zip(NAMES, CelebAFolder(root).splits.tolist(), strict=True)) == other
    (root / PARTITION).unlink()
    assert dict(zip(NAMES, CelebAFolder(root).splits.tolist(), strict=True)) == SPLIT_OF


def test_names_in_lower_case_are_read_and_twice_the_same_is_said(root: Path) -> None:
    text = (root / TABLE).read_text()
    (root / TABLE).write_text(text.lower())
    source = CelebAFolder(root)
    assert source.attribute_names == ATTRIBUTES
    np.testing.assert_array_equal(source.attrs, attributes(len(NAMES)))
    (root / TABLE).write_text(text.replace(" Bald ", " bangs "))
    assert "has 40 columns where CelebA has 40: it lacks Bald, it has more than one Bangs; if these" in said(root)


@pytest.mark.parametrize("folder", ["", "Anno"])
@pytest.mark.parametrize(
    ("name", "text"), [(TABLE, "1\nHat Beard\n000001.jpg 1 -1\n"), ("list_attr_celeba.csv", "name,Hat\n000001.jpg,1\n")]
)
def test_own_labels_are_told_how_to_pack_them(root: Path, folder: str, name: str, text: str) -> None:
    (root / TABLE).unlink()
    (root / folder).mkdir(exist_ok=True)
    (root / folder / name).write_text(text)
    own = f"jvae pack folder {root} --labels {Path(folder) / name}"
    assert f"if these labels are your own, pack them with {own}, else download the table again" in said(root)
    assert FolderSource(root, labels=str(Path(folder) / name)).attribute_names[0] == "Hat"


@pytest.mark.parametrize("name", ["000000.jpg", "202600.jpg", "me.jpg"])
def test_splits_by_number_need_a_number_in_range(name: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' is none from 000001 to 202599"):
        splits_by_number(np.array(["000001.jpg", name], object))


def test_zip_reads_from_many_threads(tmp_path: Path) -> None:
    files = write_celeba(tmp_path, layout="deflated")
    source = CelebAFolder(tmp_path)
    order = np.random.default_rng(0).integers(0, len(source), 600).tolist()
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda i: source[i], order))
    assert all(example.image == files[NAMES[i]] for i, example in zip(order, read, strict=True))


def test_damaged_zip_member_is_named_and_the_rest_reads(tmp_path: Path) -> None:
    write_celeba(tmp_path, layout="zip")
    path = tmp_path / "img_align_celeba.zip"
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo(f"img_align_celeba/{NAMES[3]}").header_offset + 300
    data = bytearray(path.read_bytes())
    data[place] ^= 255
    path.write_bytes(data)
    source = CelebAFolder(tmp_path)
    with pytest.raises(InputError, match=f"^{NAMES[3]} is damaged in img_align_celeba.zip$"):
        source[3]
    assert source[4].image_id == NAMES[4]


def test_cut_zip(tmp_path: Path) -> None:
    write_celeba(tmp_path, layout="zip")
    path = tmp_path / "img_align_celeba.zip"
    path.write_bytes(path.read_bytes()[:-100])
    assert "img_align_celeba.zip is not a whole zip file" in said(tmp_path)


def test_zip_with_one_name_twice(tmp_path: Path) -> None:
    write_celeba(tmp_path, layout="zip")
    with zipfile.ZipFile(tmp_path / "img_align_celeba.zip", "a") as archive:
        archive.writestr(f"copy/{NAMES[0]}", b"other")
    assert f"holds {NAMES[0]} twice" in said(tmp_path)


def test_no_folder_a_file_and_an_empty_folder(tmp_path: Path) -> None:
    assert f"{tmp_path / 'celeba'} does not exist: give the folder" in said(tmp_path / "celeba")
    (tmp_path / "celeba").write_text("")
    assert "is a file" in said(tmp_path / "celeba")
    (tmp_path / "empty").mkdir()
    assert "is empty: put img_align_celeba" in said(tmp_path / "empty")


def test_no_images(root: Path) -> None:
    shutil.rmtree(root / "img_align_celeba")
    assert "no img_align_celeba folder and no img_align_celeba.zip" in said(root)
    (root / "img_align_celeba").mkdir()
    assert "no images (.jpg) in" in said(root)


def test_no_attribute_table(root: Path) -> None:
    (root / TABLE).unlink()
    assert "no list_attr_celeba.txt or .csv" in said(root)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("12\n", "13\n", "says 13 rows and has 12: it is cut"),
        ("12\n", "", "starts with '5_o_Clock_Shadow"),
        (" Bald", "", "has 39 columns where CelebA has 40: it lacks Bald"),
        (" Bald", " Hairless", "it lacks Bald, it has the unknown Hairless"),
        ("000002.jpg", "000001.jpg", "more than one row for 000001.jpg"),
        ("000040.jpg", "000040.jpg 1", "fields in a row|every row has 41 fields|Expected 41 fields"),
        ("000001.jpg", "000001.jpg 1", "42 fields in a row where there are 41"),
    ],
)
def test_attribute_table_that_does_not_match(root: Path, old: str, new: str, message: str) -> None:
    edit(root / TABLE, old, new)
    line = said(root)
    assert line.startswith(TABLE)
    assert any(m in line for m in message.split("|"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0", "has 0 for 5_o_Clock_Shadow of 000001.jpg: values are 1 and -1"),
        ("2", "has 2 for 5_o_Clock_Shadow of 000001.jpg: values are 1 and -1"),
        ("yes", "has 'yes' for 5_o_Clock_Shadow of 000001.jpg: every row has 40 integers"),
        ("0.5", "has '0.5' for 5_o_Clock_Shadow of 000001.jpg: every row has 40 integers"),
    ],
)
def test_values_that_are_neither_yes_nor_no(root: Path, value: str, message: str) -> None:
    lines = (root / TABLE).read_text().splitlines()
    fields = lines[2].split()
    lines[2] = " ".join([fields[0], value, *fields[2:]])
    (root / TABLE).write_text("\n".join(lines))
    assert message in said(root)


def test_cut_tables(root: Path) -> None:
    text = (root / TABLE).read_text()
    (root / TABLE).write_text(text[: text.index("000040.jpg") + 30])  # within a row
    assert "has no value for" in said(root)
    (root / TABLE).write_text("\n".join(text.splitlines()[:2]))
    assert "has no rows" in said(root)
    (root / TABLE).write_text("")
    assert "starts with ''" in said(root)


def test_csv_without_image_id(root: Path) -> None:
    (root / TABLE).unlink()
    table = attribute_table(NAMES, attributes(12), csv=True)
    (root / "list_attr_celeba.csv").write_text(table.replace("image_id", "name", 1))
    assert "list_attr_celeba.csv starts with the column 'name'" in said(root)


def test_images_and_table_of_different_sets(root: Path) -> None:
    (root / TABLE).write_text(attribute_table(("a.jpg", "b.jpg"), attributes(2)))
    assert "no image of" in said(root)


def test_images_without_rows(root: Path) -> None:
    (root / TABLE).write_text(attribute_table(NAMES[2:], attributes(10)))
    assert f"2 of the 12 images in {root / 'img_align_celeba'} have no row in {TABLE} (000001.jpg, 000002.jpg)" in said(
        root
    )


def test_a_partition_of_words_is_none(root: Path) -> None:
    (root / PARTITION).write_text("".join(f"{name} {split != 'train'}\n" for name, split in SPLIT_OF.items()))
    assert f"{PARTITION} has 'False' for a partition: 0 is train, 1 validation, 2 test" in said(root)


def test_partition_that_does_not_match(root: Path) -> None:
    lines = (root / PARTITION).read_text().splitlines()
    (root / PARTITION).write_text("\n".join(lines[:9]))
    assert f"{PARTITION} has no row for 3 of the 12 images ({NAMES[9]}, ...)" in said(root)
    (root / PARTITION).write_text("\n".join(lines).replace("000040.jpg 0", "000040.jpg 3"))
    assert f"{PARTITION} has 3 for 000040.jpg" in said(root)
    (root / PARTITION).write_text("\n".join(lines).replace("000040.jpg 0", "000040.jpg"))
    assert f"{PARTITION} has no value for partition of 000040.jpg" in said(root)


def test_file_that_vanished_is_named(root: Path) -> None:
    source = CelebAFolder(root)
    (root / "img_align_celeba" / NAMES[2]).unlink()
    with pytest.raises(InputError, match=f"cannot read {NAMES[2]}"):
        source[2]
