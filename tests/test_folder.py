"""Any folder of images: the layouts people have, against Pillow, and every refusal."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jvae
from jvae.data.decoded import DecodedStore
from jvae.data.packed import pack
from jvae.data.sources.celeba import CelebAFolder
from jvae.data.sources.folder import FolderSource
from jvae.data.sources.splits import complete
from jvae.errors import InputError
from tests.celeba_files import NAMES, write_celeba
from tests.folders import SAVED, labels_of, packed, reference, said, write


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


def test_a_file_that_vanished_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a/0.png", "a/1.png")
    source = FolderSource(tmp_path)
    (tmp_path / "a" / "1.png").unlink()
    with pytest.raises(InputError, match="cannot read a/1"):
        source[1]
    assert source[0].image == (tmp_path / "a" / "0.png").read_bytes()


def test_it_is_public() -> None:
    assert jvae.FolderSource is FolderSource and {"Source", "Store"} <= set(jvae.__all__)
