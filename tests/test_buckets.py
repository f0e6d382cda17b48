"""Data in a bucket: read as from a disk. A server of this machine stands for Google Cloud Storage."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from jvae.data.decoded import DecodedStore, is_packed, open_data
from jvae.data.packed import PackedStore, pack
from jvae.data.sources.celeba_builder import prepare
from jvae.data.sources.tfds import CelebATFDS, convert
from jvae.errors import InputError
from jvae.io import buckets
from jvae.io.files import locked, replacing, uri
from jvae.training.loop import train
from jvae.training.presets import BOOK
from tests.bucket import NAME, bucket
from tests.celeba_files import prepared_celeba
from tests.faces import small_store

CFG = BOOK.replace(image_size=16, widths=(4,), latent_dim=4, batch_size=4, chunk_steps=2, steps=4, eval_every=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepared_celeba(tmp_path_factory.mktemp("celeba"))


@pytest.fixture
def there(data, monkeypatch):
    pytest.importorskip("gcsfs")
    import fsspec

    fsspec.get_filesystem_class("gs").clear_instance_cache()  # one of another bucket
    with bucket(data) as (server, environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield server


def test_addresses():
    assert uri("gs://b/x") == uri(Path("gs://b/x")) == "gs://b/x"
    for path in ("data/x", "/data/x", "C:\\data", "C:/data", "a:b", "gs"):
        assert uri(path) is None
        assert buckets.locate(path) == Path(path)
    for address in ("s3://b/x", "https://example.org/x"):
        with pytest.raises(InputError, match=f"{address} cannot be read: give a folder or gs://"):
            buckets.locate(address)


def test_nothing_is_written_to_an_address(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    address = Path("gs://b/x")
    for write in (
        lambda: replacing(address).__enter__(),
        lambda: locked(address, "it").__enter__(),
        lambda: prepare("celeba", address),
        lambda: convert(address),
        lambda: train(CFG, small_store(), address, progress=False),
        lambda: pack(CelebATFDS(data), address, size=16, crop="squash", progress=False),
        lambda: PackedStore.open(address),
    ):
        with pytest.raises(InputError, match=r"gs://b/.* is not on a disk: give a folder"):
            write()
    assert not list(tmp_path.iterdir())


def test_without_gcsfs(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(InputError, match=r"gs://b/x: gcsfs, .*pip install 'jvae\[bucket\]'"):
        CelebATFDS("gs://b/x")


def test_examples_are_those_on_the_disk(data, there):
    here, away = CelebATFDS(data), CelebATFDS(Path(f"gs://{NAME}"))
    assert len(here) == len(away) and here.ranges == away.ranges and not is_packed(f"gs://{NAME}")
    for i in range(len(here)):
        mine, theirs = here[i], away[i]
        assert mine.image == theirs.image and mine.image_id == theirs.image_id
        np.testing.assert_array_equal(mine.attrs, theirs.attrs)
    one, other = (DecodedStore(path, size=16) for path in (data, f"gs://{NAME}"))
    assert one.checksum == other.checksum
    np.testing.assert_array_equal(one.images[np.arange(5)], other.images[np.arange(5)])
    assert str(other.path) == f"gs://{NAME}"


def test_a_worker_process_reads_it_for_the_training(data, there, tmp_path):
    for out, path, workers in (("disk", data, 0), ("bucket", Path(f"gs://{NAME}"), 1)):
        train(CFG, open_data(path, CFG, workers=workers), tmp_path / out, progress=False)
    disk, away = ((tmp_path / out / "metrics.jsonl").read_text() for out in ("disk", "bucket"))
    assert disk == away and len(disk.splitlines()) > 2
    assert f"gs://{NAME}" in (tmp_path / "bucket" / "history.jsonl").read_text()
    assert any(name.endswith("train.array_record-00000-of-00001") for name, _ in there.asked)


def test_what_is_wrong_is_said(data, there, tmp_path):
    with pytest.raises(InputError, match=f"gs://{NAME}/nothing does not exist"):
        CelebATFDS(f"gs://{NAME}/nothing")
    shutil.copytree(data, tmp_path / "copy")
    there.folder = tmp_path / "copy"
    (shard,) = there.folder.rglob("*-test.array_record-*")
    shard.unlink()
    with pytest.raises(InputError, match="prepare the data set again"):
        CelebATFDS(f"gs://{NAME}")[len(CelebATFDS(data)) - 1]
