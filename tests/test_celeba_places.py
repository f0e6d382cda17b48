"""Where CelebA's tables and images lie, which of several are taken, and what is said of it."""

import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from jvae.data.decoded import DecodedStore
from jvae.data.packed import pack
from jvae.data.source import SPLITS
from jvae.data.sources.celeba import CelebAFolder
from jvae.errors import InputWarning
from tests.celeba_files import NAMES, PARTITION, TABLE, partition_table, said, write_celeba


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_celeba(tmp_path / "celeba")
    return tmp_path / "celeba"


@pytest.mark.parametrize(
    "name", [f"Anno/{PARTITION}", f"Img/{PARTITION}", "Anno/List_Eval_Partition (1).txt", "partition.csv"]
)
def test_a_partition_table_is_found_wherever_it_lies_and_said(root: Path, name: str) -> None:
    other = {image: SPLITS[i % 3] for i, image in enumerate(NAMES)}
    (root / PARTITION).unlink()
    assert CelebAFolder(root).message == (
        f"split by number, in the official ranges: no partition table is in {root}, nor in its Anno, Eval, Img"
    )
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(partition_table(other, csv=name.endswith("csv")))
    source = CelebAFolder(root)
    assert dict(zip(NAMES, source.splits.tolist(), strict=True)) == other and source.message == f"split by {name}"


def test_two_tables_that_may_be_the_partition_are_refused(root: Path) -> None:
    for name in ("my_partition.txt", "partition_2.txt"):
        (root / name).write_text((root / PARTITION).read_text())
    assert CelebAFolder(root).message == f"split by {PARTITION}"  # of that name there is one
    (root / PARTITION).unlink()
    assert "may both be list_eval_partition: call one so, or move the other away" in said(root)


def copy_images(root: Path, to: Path, names: Sequence[str], zipped: bool = False) -> None:
    files = {name: (root / "img_align_celeba" / name).read_bytes() for name in names}
    to.parent.mkdir(parents=True, exist_ok=True)
    if zipped:
        with zipfile.ZipFile(to, "w") as archive:
            for name, data in files.items():
                archive.writestr(f"img_align_celeba/{name}", data)
        return
    to.mkdir(exist_ok=True)
    for name, data in files.items():
        (to / name).write_bytes(data)


def test_the_place_with_the_most_listed_images_is_taken_and_said(root: Path, tmp_path: Path) -> None:
    outer, inner, archive = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    for place in (outer, inner, archive):
        place.mkdir()
        for name in (TABLE, PARTITION):
            shutil.copy(root / name, place)
    (outer / "img_align_celeba").mkdir()
    copy_images(root, outer / "img_align_celeba" / "img_align_celeba", NAMES)
    copy_images(root, inner / "img_align_celeba", NAMES[:1])
    copy_images(root, inner / "img_align_celeba" / "img_align_celeba", NAMES)
    copy_images(root, archive / "img_align_celeba", NAMES[:3])
    copy_images(root, archive / "img_align_celeba.zip", NAMES, zipped=True)
    assert CelebAFolder(outer).message == f"split by {PARTITION}"
    for place, taken, left, count in (
        (inner, "img_align_celeba/img_align_celeba", "img_align_celeba", 1),
        (archive, "img_align_celeba.zip", "img_align_celeba", 3),
    ):
        source = CelebAFolder(place)
        assert (len(source), source.missing, source.folder) == (12, 0, place / taken)
        assert source.message.splitlines()[0] == (
            f"images of {place / taken}, which has 12 of the 12 in the table; {place / left} has {count}"
        )
    (archive / "img_align_celeba.zip").write_bytes(b"PK")  # a download that broke off
    source = CelebAFolder(archive)
    assert len(source) == 3 and "is not a whole zip file" in source.message.splitlines()[0]
    copy_images(root, archive / "img_align_celeba", NAMES)  # all are there, and the zip is not looked at
    assert CelebAFolder(archive).message == f"split by {PARTITION}"


def test_fewer_than_half_of_the_images_is_a_warning(root: Path, tmp_path: Path) -> None:
    for name in NAMES[:6]:
        (root / "img_align_celeba" / name).unlink()
    assert len(pack(CelebAFolder(root), tmp_path / "half", size=16, progress=False)) == 6
    (root / "img_align_celeba" / NAMES[6]).unlink()
    line = "5 of the 12 images that the table of the CelebA folder lists are there, fewer than half"
    with pytest.warns(InputWarning, match=line):
        assert len(pack(CelebAFolder(root), tmp_path / "fewer", size=16, progress=False)) == 5
    with pytest.warns(InputWarning, match=line):
        DecodedStore(CelebAFolder(root), size=16)
