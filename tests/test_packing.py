"""Packing a store: what is in it, that it is there whole or not at all, and what cannot be packed."""

import errno
import json
import os
import shutil
import zlib
from collections import namedtuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jvae.data import packing
from jvae.data.packed import PackedStore, pack, preprocess
from jvae.data.source import Example
from jvae.data.sources.celeba import ATTRIBUTES, CelebAFolder
from jvae.errors import InputError
from tests.celeba_files import NAMES, SPLIT_OF, encode, picture, write_celeba
from tests.sources import Pictures, Rendered, small


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


def test_count_keeps_the_shares_of_splits_that_come_at_even_distances(tmp_path: Path) -> None:
    store = small(Rendered(2000), tmp_path / "out", count=400)  # of which every fifth is for test
    assert 60 <= len(store.indices("test")) <= 100


def test_count_takes_an_even_sample(tmp_path: Path) -> None:
    store = small(Pictures(100), tmp_path / "out", count=8)
    edges = np.array([0, 12, 25, 37, 50, 62, 75, 87, 100])
    taken = store.images[:, 0, 0, 0]
    assert ((edges[:-1] <= taken) & (taken < edges[1:])).all()
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


def test_a_second_pack_to_one_place_is_refused(tmp_path: Path) -> None:
    class Second(Pictures):
        def __getitem__(self, index: int, /) -> Example:
            if index == 5:
                small(Pictures(5), tmp_path / "out")
            return super().__getitem__(index)

    with pytest.raises(InputError, match=f"out is in use by process {os.getpid()}: wait until it ends, or give"):
        small(Second(10), tmp_path / "out")
    assert os.listdir(tmp_path) == []
