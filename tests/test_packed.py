"""Opening a store: its rows and columns by name, and what is said of one that is bad."""

import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest

from jvae.data import packing
from jvae.data.packed import PackedStore
from jvae.errors import InputError
from jvae.io.files import seal, unseal
from tests.sources import Pictures, Rendered, small


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return small(Pictures(100), tmp_path / "store").path


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


def test_unknown_fields_of_the_meta_file_are_passed_over(store: Path) -> None:
    change_meta(store, note="hello")
    assert len(PackedStore.open(store)) == 100
