"""Training on a TFDS data set that is not packed: the batches are those of its packed store, wherever it begins."""

import itertools
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jvae.cli import vectors
from jvae.cli.flags import Kinds, Trained
from jvae.data.decoded import Decoded, DecodedStore, Rows, open_data
from jvae.data.feed import DecodedFeed, Feed, chunk_order
from jvae.data.packed import PackedStore, pack
from jvae.data.source import SPLITS, Example
from jvae.data.sources.folder import FolderSource
from jvae.data.sources.rendered import RenderedFaces
from jvae.data.sources.tfds import CelebATFDS
from jvae.errors import InputError
from jvae.latent.vectors import AttributeVectors
from jvae.runtime.hashing import epoch_rows, key_words, random_key, shuffle, shuffle_on_host
from jvae.runtime.mesh import make_mesh
from jvae.training.loop import run_keys, train
from jvae.training.run import steps_of
from tests.celeba_files import prepared_celeba
from tests.faces import small_store
from tests.runs import ONE, TINY, whole_run

CFG = TINY.replace(preset="book", batch_size=4, steps=5, eval_every=3)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepared_celeba(tmp_path_factory.mktemp("celeba"))


@pytest.fixture(scope="module")
def packed(data, tmp_path_factory) -> PackedStore:
    return pack(CelebATFDS(data), tmp_path_factory.mktemp("packed") / "s", size=16, crop="squash", progress=False)


@pytest.mark.parametrize("n", [1, 7, 1000, 2**31 - 1])
def test_the_order_is_had_without_jax(n):
    key = random_key(3)
    words = np.asarray(key_words(key))
    index = np.array([0, n // 2, n - 1])
    np.testing.assert_array_equal(
        shuffle_on_host(index, n, words[:1], words[1:]), shuffle(jnp.asarray(index), n, *key_words(key))
    )
    if n > 4:
        b = 3
        for step in (0, 1, n // b - 1, n // b, 5 * (n // b) + 1):
            if step * b < 2**31:
                expected = chunk_order(key, np.int32(step), n=n, b=b, k=1)[0]
                np.testing.assert_array_equal(epoch_rows(words, step, n, b), expected)


def test_images_are_those_of_the_packed_store(data, packed):
    store = DecodedStore(data, size=16, crop="squash")
    assert len(store) == len(packed) and store.images.shape == packed.images.shape
    np.testing.assert_array_equal(store.images[np.arange(len(packed))], packed.images)
    np.testing.assert_array_equal(store.images[np.array([[3, 1], [0, 2]])], packed.images[[[3, 1], [0, 2]]])
    np.testing.assert_array_equal(store.images[4], packed.images[4])
    assert store.images[np.zeros((2, 0), int)].shape == (2, 0, 16, 16, 3)
    for split in ("train", "validation", "test"):
        np.testing.assert_array_equal(store.indices(split), packed.indices(split))
    np.testing.assert_array_equal(store.attrs[np.arange(len(packed))], packed.attrs)
    assert store.attrs.shape == packed.attrs.shape and store.attribute_names == packed.attribute_names
    assert [store.attribute(name) for name in ("Male", "Young")] == [packed.attribute(n) for n in ("Male", "Young")]


@pytest.mark.parametrize(("step", "workers"), [(0, 0), (4, 0), (2, 1)])
def test_chunks_are_those_of_the_packed_store(data, packed, step, workers):
    mesh, rows = make_mesh(), packed.indices("train")
    key = run_keys(0, mesh)[1]
    how = {"batch_size": 4, "chunk_steps": 3, "key": key, "mesh": mesh}
    images = DecodedStore(data, size=16, crop="squash", workers=workers).images
    decoded, plain = DecodedFeed(images, rows, **how), Feed(packed.images, rows, **how, residency="streamed")
    assert decoded.shapes == plain.shapes
    for found, expected in zip(itertools.islice(decoded.chunks(step), 2), plain.chunks(step), strict=False):
        np.testing.assert_array_equal(found.images, expected.images)
        assert found.images.sharding == expected.images.sharding


def test_training_on_it_is_training_on_its_packed_store(data, packed, tmp_path):
    store = open_data(data, CFG)  # squashed, as the book does
    assert isinstance(store, DecodedStore) and isinstance(store.images, Decoded)
    train(CFG.replace(residency="streamed"), packed, tmp_path / "packed", mesh=ONE, progress=False)
    train(CFG.replace(steps=3), store, tmp_path / "decoded", mesh=ONE, progress=False)
    train(CFG, store, tmp_path / "decoded", mesh=ONE, progress=False)  # goes on where it stopped
    one, other = ((tmp_path / name / "metrics.jsonl").read_text() for name in ("packed", "decoded"))
    assert one == other and len(one.splitlines()) > 3
    records = [
        (tmp_path / name / "checkpoints" / "5" / "record" / "metadata").read_text() for name in ("packed", "decoded")
    ]
    assert records[0] == records[1] and "crc32" in json.loads(records[0])
    assert steps_of(tmp_path / "decoded")[-1] == 5


def test_a_damaged_record_ends_the_training(data, tmp_path):
    copy = tmp_path / "tfds"
    shutil.copytree(data, copy)
    (shard,) = copy.rglob("*-train.array_record-*")
    whole = bytearray(shard.read_bytes())
    whole[5000:40000:97] = bytes(len(whole[5000:40000:97]))  # of images; the end of the file is filling
    shard.write_bytes(whole)
    with pytest.raises(InputError, match="prepare the data set again"):
        train(CFG, open_data(copy, CFG), tmp_path / "run", mesh=ONE, progress=False)


def test_bad_input(data, packed):
    with pytest.raises(InputError, match="workers=-1"):
        DecodedStore(data, size=16, workers=-1)
    with pytest.raises(InputError, match="size=17 is not a positive multiple of 16"):
        DecodedStore(data, size=17)
    with pytest.raises(InputError, match="unknown split 'training': did you mean train"):
        DecodedStore(data, size=16).indices("training")
    with pytest.raises(InputError, match="is packed: --crop and --workers"):
        open_data(packed.path, CFG, workers=2)
    assert isinstance(open_data(packed.path, CFG), PackedStore)


class Plain:
    """A source of no more than what a source must have; its splits are mixed."""

    name, attribute_names = "plain", ("Even", "Third")

    def __len__(self):
        return 24

    def __getitem__(self, index, /):
        image = np.full((16, 16, 3), 7 * index, np.uint8)
        split = SPLITS[(index % 4 == 1) + 2 * (index % 4 == 3)]
        return Example(image, np.array([index % 2 == 0, index % 3 == 0]), f"p{index}", split)


class Open(Plain):
    """One that holds what cannot be sent to another process."""

    def __init__(self):
        self.lock = threading.Lock()


def folder(root):
    for i in range(24):
        path = root / f"{('train', 'val', 'train', 'test')[i % 4]}" / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(Plain()[i].image)).save(path)
    (root / "labels.csv").write_text("id,Even\n" + "".join(f"{i:02d},{1 - i % 2}\n" for i in range(24)))
    return FolderSource(root, labels="labels.csv")


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("kind", ["plain", "folder"])
def test_any_source_streams_as_its_packed_store(kind, workers, tmp_path):
    source = Plain() if kind == "plain" else folder(tmp_path / "in")
    packed, store = (
        pack(source, tmp_path / "s", size=16, progress=False),
        DecodedStore(source, size=16, workers=workers),
    )
    assert (packed.streamed, store.streamed) == (False, True) and store.attribute_names == packed.attribute_names
    assert store.path == (tmp_path / "in" if kind == "folder" else Path("plain"))
    for split in SPLITS:
        found, expected = store.indices(split), packed.indices(split)
        assert len(found) == len(expected)
        np.testing.assert_array_equal(store.images[np.asarray(found)], packed.images[expected])
        np.testing.assert_array_equal(store.attrs[np.asarray(found)], packed.attrs[expected])
        for step in (0, 5) if not workers else (5,) if split == "train" else ():  # a worker takes seconds to start
            how = {"batch_size": 4, "chunk_steps": 2, "key": run_keys(0, make_mesh())[1], "mesh": make_mesh()}
            one = next(DecodedFeed(store.images, found, **how).chunks(step))
            other = next(Feed(packed.images, expected, **how, residency="streamed").chunks(step))
            np.testing.assert_array_equal(one.images, other.images)
    if (kind, workers) != ("folder", 1):
        return
    train(CFG.replace(residency="streamed", steps=2), packed, tmp_path / "packed", mesh=ONE, progress=False)
    train(CFG.replace(steps=2), store, tmp_path / "decoded", mesh=ONE, progress=False)
    lines = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("packed", "decoded")]
    assert lines[0][0] == lines[1][0] and '"split": "train"' in lines[0][0]
    one, other = (json.loads(line[1]) for line in lines)  # whose noise goes by the row: another order
    assert (one["n"], one["error"], one["kl"]) == (other["n"], other["error"], other["kl"])


@pytest.mark.parametrize(
    ("residency", "free", "often"), [("auto", 10**9, False), ("auto", 0, True), ("streamed", 10**9, True)]
)
def test_each_image_is_decoded_once_where_all_fit(residency, free, often, tmp_path, monkeypatch):
    seen: list[int] = []

    class Watched(Plain):
        def __getitem__(self, index, /):
            seen.append(index)
            return super().__getitem__(index)

    monkeypatch.setattr("jvae.data.feed.available_bytes", lambda: free)
    monkeypatch.setattr("jvae.data.decoded.cores", lambda: 1)  # two threads may want one image at once
    packed, store = pack(Plain(), tmp_path / "s", size=16, progress=False), DecodedStore(Watched(), size=16)
    loop, key = CFG.replace(chunk_steps=3, residency=residency).loop, run_keys(0, ONE)[1]  # a chunk an epoch
    seen.clear()  # what was read to know the splits
    chunks = Feed.of_run(loop, store, store.indices("train"), key=key, mesh=ONE).chunks(0)
    plain = Feed.of_run(loop.replace(residency="streamed"), packed, packed.indices("train"), key=key, mesh=ONE).chunks(
        0
    )
    for found, expected in itertools.islice(zip(chunks, plain, strict=False), 4):
        np.testing.assert_array_equal(found.images, expected.images)
    counts = np.bincount(seen, minlength=24)
    assert set(np.flatnonzero(counts)) == {i for i in range(24) if i % 2 == 0}
    assert (counts.max() > 1) == often


def test_the_checksum_of_a_source_changes_with_its_names_splits_and_labels():
    class Other(Plain):
        changed: Any = None

        def __getitem__(self, index, /):
            return super().__getitem__(index)._replace(**((self.changed or {}) if index == 9 else {}))

    found = {DecodedStore(Plain(), size=16).checksum, DecodedStore(Other(), size=16).checksum}
    assert len(found) == 1
    for changed in ({"image_id": "q"}, {"split": "train"}, {"attrs": np.array([True, True])}):
        Other.changed = changed
        found.add(DecodedStore(Other(), size=16).checksum)
    assert len(found) == 4


def test_a_source_that_is_bad_is_refused_when_it_is_opened():
    with pytest.raises(InputError, match=r"workers=2: plain cannot be sent to processes .*: give 0, for threads"):
        DecodedStore(Open(), size=16, workers=2)
    assert len(DecodedStore(Open(), size=16)) == 24
    for bad, message in (
        ({"attrs": np.array([1, -1])}, "image p0 has -1 for Third"),
        ({"split": "val"}, "image p0 is of the split 'val'"),
    ):

        class Bad(Plain):
            def __getitem__(self, index, /, bad=bad):
                return super().__getitem__(index)._replace(**bad)

        with pytest.raises(InputError, match=message):
            DecodedStore(Bad(), size=16)
    Bad.attribute_names = ("a&b", "c")
    with pytest.raises(InputError, match="attribute 'a&b' holds &"):
        DecodedStore(Bad(), size=16)


def test_rows_take_no_memory():
    rows = Rows(10, 10**9 + 10)
    assert len(rows) == 10**9 and rows[7] == 17 and rows.shape == (10**9,)
    some = rows[5:25][::4]
    np.testing.assert_array_equal(some, np.arange(15, 35, 4))
    np.testing.assert_array_equal(some[np.array([[0, 2]])], [[15, 23]])
    np.testing.assert_array_equal(np.asarray(some, np.int32), np.arange(15, 35, 4))
    assert len(rows[10**9 :]) == 0


def test_rendered_faces_are_of_the_crop_rendered_packed_or_streamed():
    assert DecodedStore(RenderedFaces(20, size=16), size=16).crop == small_store().crop == "rendered"


@pytest.mark.filterwarnings("ignore::jvae.errors.InputWarning")  # other faces than the run was trained on
def test_vectors_are_those_of_the_packed_store(data, tmp_path):
    run = whole_run()
    packed = pack(CelebATFDS(data), tmp_path / "packed", size=16, crop="rendered", progress=False)  # as the run's
    for where, out in ((packed.path, "packed.npz"), (data, "decoded.npz")):
        vectors.main(Trained(run, where), kinds=Kinds("regression"), out=tmp_path / out)
    one, other = (AttributeVectors.load(tmp_path / name) for name in ("packed.npz", "decoded.npz"))
    assert one.columns == other.columns
    for first, second in zip(one.parts, other.parts, strict=True):
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(InputError, match="is not packed, as --stop book, --balance of several"):
        vectors.main(Trained(run, data), kinds=Kinds(balance=("Male", "Young")))
