"""Packing and opening a store: what is in it, that it is there whole or not at all, and what is said of a bad one."""

import errno
import json
import os
import shutil
import sys
import zlib
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jvae.cli.main import main
from jvae.data import packing
from jvae.data.packed import PackedStore, pack, preprocess
from jvae.data.source import Example
from jvae.data.sources.celeba import ATTRIBUTES, CelebAFolder
from jvae.errors import InputError
from jvae.io.files import seal, unseal
from tests.celeba_files import NAMES, SPLIT_OF, encode, picture, write_celeba


class Pictures:
    """A source of small arrays: a face a number, two attributes."""

    name = "pictures"
    attribute_names = ("Even", "Large")

    def __init__(self, count: int, fail: dict[int, Exception | BaseException] | None = None):
        self.count, self.fail = count, fail or {}

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int, /) -> Example:
        if index in self.fail:
            raise self.fail[index]
        attrs = np.array([index % 2 == 0, index > 50])
        return Example(
            np.full((16, 16, 3), index % 256, np.uint8), attrs, f"face-{index:04d}", "train" if index % 5 else "test"
        )


class Rendered(Pictures):
    """The same, drawn by the batch."""

    size = 16

    def __init__(self, count: int):
        super().__init__(count)
        self.image_ids = [super(Rendered, self).__getitem__(i).image_id for i in range(count)]

    def image_id(self, i: int) -> str:
        return self.image_ids[i]

    def split(self, i: int) -> str:
        return "train" if i % 5 else "test"

    def render(self, indices: np.ndarray) -> np.ndarray:
        return np.broadcast_to((indices % 256).astype(np.uint8)[:, None, None, None], (len(indices), 16, 16, 3))

    def labels(self, indices: np.ndarray) -> np.ndarray:
        return np.stack([indices % 2 == 0, indices > 50], axis=1)

    def __getitem__(self, index: int, /) -> Example:
        raise AssertionError("drawn one by one")


def small(source: Pictures, out: Path, **options: object) -> PackedStore:
    return pack(source, out, **{"size": 16, "crop": "center", "progress": False, **options})  # pyright: ignore


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    write_celeba(tmp_path / "celeba")
    return tmp_path / "celeba"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return small(Pictures(100), tmp_path / "store").path


def test_pack_of_celeba(celeba: Path, tmp_path: Path) -> None:
    source = CelebAFolder(celeba)
    store = pack(source, tmp_path / "out", size=32, crop="center", progress=False)
    assert store.path == tmp_path / "out" and len(store) == 12 and store.size == 32
    assert store.images.shape == (12, 32, 32, 3) and not store.images.flags.writeable
    assert store.image_ids.tolist() == list(NAMES)
    assert store.splits.tolist() == list(SPLIT_OF.values())
    np.testing.assert_array_equal(store.attrs, source.attrs)
    assert store.attrs.dtype == bool and store.attribute_names == ATTRIBUTES
    for i in range(12):
        np.testing.assert_array_equal(store.images[i], preprocess(source[i].image, 32, "center"))
    store.verify()
    meta = store.meta
    assert (meta.source, meta.count, meta.source_count, meta.missing) == ("CelebA folder", 12, 12, 0)
    assert meta.counts == {"train": 6, "validation": 3, "test": 3}
    assert (meta.size, meta.crop, meta.skipped) == (32, "center", {})


def test_files_are_what_they_are_said_to_be(store: Path) -> None:
    assert sorted(p.name for p in store.iterdir()) == ["images.npy", "labels.csv", "meta.json"]
    images = np.load(store / "images.npy", mmap_mode="r")
    assert images.shape == (100, 16, 16, 3) and images.dtype == np.uint8
    assert images[:, 3, 5, 1].tolist() == list(range(100))
    labels = pd.read_csv(store / "labels.csv")
    assert list(labels.columns) == ["image_id", "split", "Even", "Large"]
    assert labels["Even"].tolist() == [1, 0] * 50
    meta = json.loads((store / "meta.json").read_text())
    assert meta["blocks"] == [f"{zlib.crc32(images.tobytes()):08x}"]


@pytest.mark.parametrize("workers", [1, 3, None])
def test_order_and_bytes_do_not_depend_on_the_workers(tmp_path: Path, workers: int | None) -> None:
    count = 5 * packing._CHUNK + 7  # a ragged last chunk
    store = small(Pictures(count), tmp_path / "out", workers=workers)
    assert store.images[:, 0, 0, 0].tolist() == [i % 256 for i in range(count)]
    assert store.image_ids.tolist() == [f"face-{i:04d}" for i in range(count)]
    drawn = small(Rendered(count), tmp_path / "drawn")
    assert store.meta.crc32 == drawn.meta.crc32 and store.meta.blocks == drawn.meta.blocks


def test_rendered_faces_of_another_size_are_drawn_one_by_one(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="drawn one by one"):
        small(Rendered(3), tmp_path / "out", size=32)
    assert os.listdir(tmp_path) == []


def test_images_of_many_shapes(celeba: Path, tmp_path: Path) -> None:
    shapes = [(178, 218)] * 3 + [(100, 120)] * 2 + [(178, 218)] + [(300, 200)] + [(178, 218)] * 4 + [(64, 64)]
    for i, (name, (width, height)) in enumerate(zip(NAMES, shapes, strict=True)):
        (celeba / "img_align_celeba" / name).write_bytes(encode(picture(i, width, height)))
    (celeba / "img_align_celeba" / NAMES[8]).write_bytes(b"")
    source = CelebAFolder(celeba)
    store = pack(source, tmp_path / "out", size=48, crop="center", skip_bad=True, progress=False)
    assert store.image_ids.tolist() == [n for n in NAMES if n != NAMES[8]]
    for i, name in enumerate(store.image_ids):
        np.testing.assert_array_equal(store.images[i], preprocess(source[NAMES.index(name)].image, 48, "center"))


def test_count_takes_an_even_sample(tmp_path: Path) -> None:
    store = small(Pictures(100), tmp_path / "out", count=8)
    assert store.images[:, 0, 0, 0].tolist() == [0, 12, 25, 37, 50, 62, 75, 87]
    assert store.meta.source_count == 100 and store.meta.count == 8
    for count in (0, 101):
        with pytest.raises(InputError, match=f"count={count} of a source that has 100 images"):
            small(Pictures(100), tmp_path / "other", count=count)


def break_images(celeba: Path) -> None:
    (celeba / "img_align_celeba" / NAMES[2]).write_bytes(b"\0\0\0\x18ftypheic")
    (celeba / "img_align_celeba" / NAMES[7]).write_bytes(encode(picture(0))[:2000])


def test_broken_images_stop_the_pack_and_are_named(celeba: Path, tmp_path: Path) -> None:
    break_images(celeba)
    with pytest.raises(InputError) as caught:
        pack(CelebAFolder(celeba), tmp_path / "out", size=32, crop="center", progress=False)
    line = str(caught.value)
    assert line.startswith(f"2 of 12 images cannot be packed: {NAMES[2]} is HEIC, which is not read here")
    assert f"; {NAMES[7]} is damaged" in line and line.endswith("or leave them out with --skip-bad")
    assert os.listdir(tmp_path) == ["celeba"]


def test_skip_bad_leaves_them_out_and_records_them(celeba: Path, tmp_path: Path) -> None:
    break_images(celeba)
    source = CelebAFolder(celeba)
    store = pack(source, tmp_path / "out", size=32, crop="center", skip_bad=True, progress=False)
    left = [n for n in NAMES if n not in (NAMES[2], NAMES[7])]
    assert store.image_ids.tolist() == left and store.images.shape[0] == 10
    np.testing.assert_array_equal(store.attrs, np.delete(source.attrs, (2, 7), axis=0))
    np.testing.assert_array_equal(store.images[2], preprocess(source[3].image, 32, "center"))
    assert sorted(store.meta.skipped) == [NAMES[2], NAMES[7]] and "HEIC" in store.meta.skipped[NAMES[2]]
    assert store.meta.counts == {"train": 5, "validation": 2, "test": 3}
    PackedStore.open(tmp_path / "out").verify()


def test_many_broken_images_are_counted_and_some_named(tmp_path: Path) -> None:
    fail: dict[int, Exception | BaseException] = {i: InputError(f"face-{i} is lost") for i in range(30, 50)}
    with pytest.raises(InputError, match=r"^20 of 100 images cannot be packed: face-30 is lost; .*; and 10 more; mend"):
        small(Pictures(100, fail), tmp_path / "out")
    with pytest.raises(InputError, match=r"^20 of 20 images .* none is left$"):
        small(Pictures(20, {i: InputError(f"face-{i} is lost") for i in range(20)}), tmp_path / "out", skip_bad=True)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), RuntimeError("a bug"), MemoryError()])
def test_interrupted_pack_leaves_nothing(tmp_path: Path, stop: BaseException) -> None:
    with pytest.raises(type(stop)):
        small(Pictures(1000, {700: stop}), tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(os, "fsync", full)
        small(Pictures(10), tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_too_small_a_disk_is_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")(1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=r"the store needs 0.00 GB and .* has 0.00 GB free: make room"):
        small(Pictures(10), tmp_path / "deep" / "out")
    assert os.listdir(tmp_path / "deep") == []


def test_existing_store_stays_unless_overwritten(store: Path) -> None:
    before = (store / "images.npy").read_bytes()
    with pytest.raises(InputError, match="exists: give another --out, or --overwrite"):
        small(Pictures(5), store)
    with pytest.raises(RuntimeError):
        small(Pictures(100, {90: RuntimeError()}), store, overwrite=True)
    assert (store / "images.npy").read_bytes() == before
    assert len(small(Pictures(5), store, overwrite=True)) == 5
    assert os.listdir(store.parent) == ["store"]


def test_what_is_no_store_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").write_bytes(b"dear")
    with pytest.raises(InputError, match="is no packed store, so it is not overwritten"):
        small(Pictures(5), tmp_path / "photos", overwrite=True)
    assert (tmp_path / "photos" / "me.jpg").read_bytes() == b"dear"


def test_store_moved_aside_comes_back_when_the_new_one_cannot_take_its_place(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "refused")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="refused"):
        patch.setattr(os, "replace", refuse)
        small(Pictures(5), store, overwrite=True)
    assert len(PackedStore.open(store)) == 100
    assert os.listdir(store.parent) == ["store"]


def test_leavings_of_a_killed_pack_are_cleared(store: Path) -> None:
    dead, alive = 2**22 + 1, os.getppid()  # beyond any pid there is, and one that is
    for name in (f".new.{dead}.part", f".new.{alive}.part", f".other.{dead}.part"):
        (store.parent / name).mkdir()
    small(Pictures(5), store.parent / "new")
    assert sorted(os.listdir(store.parent)) == [f".new.{alive}.part", f".other.{dead}.part", "new", "store"]
    store.rename(store.parent / f".store.{dead}.old")  # killed between its two renames
    with pytest.raises(InputError, match="exists"):
        small(Pictures(5), store)
    assert len(PackedStore.open(store)) == 100


def test_two_images_of_one_name(tmp_path: Path) -> None:
    source = Rendered(10)
    source.image_ids[7] = source.image_ids[3]
    with pytest.raises(InputError, match="more than one image called face-0003"):
        small(source, tmp_path / "out")


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


def test_indices(store: Path) -> None:
    opened = PackedStore.open(store)
    assert opened.indices("test").tolist() == list(range(0, 100, 5)) and opened.indices("test").dtype == np.int64
    assert opened.indices(None).tolist() == list(range(100))
    assert sorted([*opened.indices("train"), *opened.indices("test")]) == list(range(100))
    with pytest.raises(InputError, match=r"has no validation images \(it has 80 train, 20 test\)"):
        opened.indices("validation")
    with pytest.raises(InputError, match="unknown split 'tests': did you mean test"):
        opened.indices("tests")


def test_index_and_attribute(store: Path) -> None:
    opened = PackedStore.open(store)
    assert opened.index("face-0042") == 42 and opened.attribute("Large") == 1
    with pytest.raises(
        InputError, match=r"unknown image_id 'face-0042.jpg' .* nearest are face-0042, face-0041, face-0043"
    ):
        opened.index("face-0042.jpg")
    with pytest.raises(InputError, match=r"unknown image_id 'me' .* it has 100, from face-0000 to face-0099"):
        opened.index("me")
    with pytest.raises(InputError, match="unknown attribute 'large': did you mean Large"):
        opened.attribute("large")


def test_ids_that_look_like_something_else_come_back(tmp_path: Path) -> None:
    source = Rendered(4)
    source.image_ids = ["NA", "007", "a, b", '"quoted"']
    small(source, tmp_path / "out")
    assert PackedStore.open(tmp_path / "out").image_ids.tolist() == ["NA", "007", "a, b", '"quoted"']


def cut(path: Path, count: int) -> None:
    path.write_bytes(path.read_bytes()[:-count])


def change_meta(store: Path, **fields: object) -> None:
    meta = unseal(json.loads((store / "meta.json").read_text()))
    (store / "meta.json").write_text(json.dumps(seal({**meta, **fields})))


def swap(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))


def relabel(store: Path, old: bytes, new: bytes) -> None:
    """Another text in labels.csv, with the checksum that fits it."""
    swap(store / "labels.csv", old, new)
    change_meta(store, crc32={"labels.csv": f"{zlib.crc32((store / 'labels.csv').read_bytes()):08x}"})


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda s: shutil.rmtree(s), "no packed store at .*; make one with jvae pack"),
        (lambda s: (s / "meta.json").unlink(), "is no packed store: it has no meta.json"),
        (lambda s: cut(s / "meta.json", 20), "meta.json is damaged"),
        (lambda s: change_meta(s, format=packing.FORMAT + 1), "has format 3 and this jvae reads up to 2: update jvae"),
        (lambda s: (s / "meta.json").write_text('{"format": 1}'), "meta.json is damaged"),
        (lambda s: swap(s / "meta.json", b"pictures", b"pictured"), "meta.json is damaged .its content is not what"),
        (lambda s: (s / "labels.csv").unlink(), "labels.csv is missing"),
        (lambda s: cut(s / "labels.csv", 2), "labels.csv is damaged: its 2004 bytes are not those that were packed"),
        (lambda s: relabel(s, b"Even", b"Odd"), "labels.csv has 4 columns .* 'Odd' where 'Even' belongs"),
        (lambda s: relabel(s, b"face-0099,train,0,1\n", b""), "labels.csv has 99 rows and meta.json says 100"),
        (lambda s: relabel(s, b"0,1\n", b"0,many\n"), "labels.csv is damaged"),
        (lambda s: relabel(s, b"test", b"best"), "labels.csv has a split that is not one of train"),
        (lambda s: (s / "images.npy").unlink(), "images.npy is missing"),
        (lambda s: cut(s / "images.npy", 1), "images.npy is cut: 76927 bytes of 76928"),
        (lambda s: cut(s / "images.npy", 76900), "images.npy is damaged: it has no header"),
        (lambda s: np.save(s / "images.npy", np.zeros((99, 16, 16, 3), np.uint8)), r"is uint8 \[99, 16, 16, 3\] and"),
        (lambda s: np.save(s / "images.npy", np.zeros((100, 16, 16, 3))), r"is float64 \[100, 16, 16, 3\] and meta"),
    ],
)  # fmt: skip
def test_bad_store_is_said_when_opened(store: Path, harm: object, message: str) -> None:
    harm(store)  # pyright: ignore
    with pytest.raises(InputError, match=message) as caught:
        PackedStore.open(store)
    assert "\n" not in str(caught.value)


def test_a_changed_label_is_found_when_the_store_is_opened(store: Path) -> None:
    swap(store / "labels.csv", b"face-0099,train,0,1\n", b"face-0099,train,1,1\n")
    with pytest.raises(InputError, match=r"labels\.csv is damaged"):
        PackedStore.open(store)


def test_a_changed_pixel_is_found_and_its_block_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "_BLOCK", 7 * 16 * 16 * 3)
    store = small(Pictures(100), tmp_path / "store")
    assert store.meta.block_rows == 7 and len(store.meta.blocks) == 15
    store.verify()
    data = bytearray((store.path / "images.npy").read_bytes())
    for row in (20, 99):
        data[128 + 768 * row] ^= 1
    (store.path / "images.npy").write_bytes(data)
    store = PackedStore.open(store.path)
    message = "images.npy is damaged: the images of rows 14 to 20 and of 1 more blocks are not those that were packed"
    with pytest.raises(InputError, match=message):
        store.verify()
    with pytest.raises(InputError, match="rows 98 to 99 are not"):
        store.read(np.array([99]))
    with pytest.raises(InputError, match="rows 14 to 20 are not"), store.verified(np.arange(15)):
        pass
    with store.verified(np.arange(14)):
        pass
    np.testing.assert_array_equal(store.read(np.array([3, 50])), store.images[[3, 50]])


def test_a_store_of_format_1_opens_and_is_verified(store: Path) -> None:
    meta = unseal(json.loads((store / "meta.json").read_text()))
    whole = {"images.npy": meta.pop("blocks")[0], **meta["crc32"]}  # one block: its checksum is that of all pixels
    del meta["block_rows"]
    (store / "meta.json").write_text(json.dumps({**meta, "format": 1, "crc32": whole}))
    PackedStore.open(store).verify()
    data = bytearray((store / "images.npy").read_bytes())
    data[-1] ^= 1
    (store / "images.npy").write_bytes(data)
    with pytest.raises(InputError, match="rows 0 to 99 are not those"):
        PackedStore.open(store).verify()


def test_a_second_pack_to_one_place_is_refused(tmp_path: Path) -> None:
    class Second(Pictures):
        def __getitem__(self, index: int, /) -> Example:
            if index == 5:
                small(Pictures(5), tmp_path / "out")
            return super().__getitem__(index)

    with pytest.raises(InputError, match=f"out is in use by process {os.getpid()}: wait until it ends, or give"):
        small(Second(10), tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_unknown_fields_of_the_meta_file_are_passed_over(store: Path) -> None:
    change_meta(store, note="hello")
    assert len(PackedStore.open(store)) == 100


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["jvae", "pack", *arguments])
    main()


def test_the_command(
    celeba: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (celeba / "img_align_celeba" / NAMES[1]).unlink()
    out = tmp_path / "out"
    arguments = ("celeba", str(celeba), "--out", str(out), "--size", "32", "--count", "6")
    run(monkeypatch, *arguments)
    printed = capsys.readouterr().out
    assert "11 of the 12 images in list_attr_celeba.txt are here; 1 are missing" in printed
    assert f"{out}: 6 images (3 train, 2 validation, 1 test), 32x32" in printed
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, *arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: {out} exists: give another --out, or --overwrite to replace it"
    ]
    with pytest.raises(SystemExit):
        run(monkeypatch, "celebra", "--out", str(tmp_path / "other"))
    assert capsys.readouterr().err == "error: unknown source 'celebra': did you mean celeba?\n"
