import itertools

import jax
import numpy as np
import pytest

from jvae.data import feed
from jvae.data.feed import Columns, Feed, chunk_order, free_bytes, select
from jvae.errors import InputError
from jvae.runtime.hashing import random_key
from jvae.runtime.memory import available_bytes
from jvae.runtime.mesh import make_mesh

N, B, K = 23, 4, 3
KEY = random_key(0)
DEFAULT = jax.random.key(0)


def order(step, n=N, b=B, k=K, key=KEY):
    return np.asarray(chunk_order(key, np.int32(step), n=n, b=b, k=k))


def test_an_epoch_visits_every_image_at_most_once():
    per_epoch = N // B
    steps = np.concatenate([order(s)[:1] for s in range(3 * per_epoch)])
    epochs = steps.reshape(3, per_epoch * B)
    for epoch in epochs:
        assert len(set(epoch)) == per_epoch * B and epoch.min() >= 0 and epoch.max() < N
    assert not np.array_equal(epochs[0], epochs[1])


@pytest.mark.parametrize("key", [KEY, DEFAULT], ids=["hashed", "default"])
@pytest.mark.parametrize("k", [1, 2, 3, 5, 17])
def test_the_order_does_not_depend_on_the_chunks(k, key):
    single = np.concatenate([order(s, k=1, key=key) for s in range(34)])
    chunked = np.concatenate([order(s, k=k, key=key) for s in range(0, 34, k)])[:34]
    np.testing.assert_array_equal(single, chunked)


def make_feed(residency, images, indices, mesh, **changes):
    arguments = {"batch_size": B, "chunk_steps": K, "key": KEY, "mesh": mesh, "residency": residency} | changes
    return Feed(images, indices, **arguments)


@pytest.mark.parametrize("devices", [1, 2])
def test_resident_and_streamed_batches_are_the_same(devices):
    mesh = make_mesh(jax.devices()[:devices])
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)
    indices = np.arange(1, 40, 2)
    resident, streamed = (make_feed(r, images, indices, mesh) for r in ("resident", "streamed"))
    assert resident.resident and not streamed.resident
    take = jax.jit(select, static_argnames="mesh")
    for start in (0, 7):
        for a, b in itertools.islice(zip(resident.chunks(start), streamed.chunks(start), strict=False), 4):
            for i in range(K):
                ours, theirs = (take(c, np.int32(i), mesh=mesh).images for c in (a, b))
                np.testing.assert_array_equal(ours, theirs)
                assert ours.sharding.shard_shape(ours.shape) == (B // devices, 16, 16, 3)


@pytest.mark.parametrize("residency", ["resident", "streamed"])
def test_labels_stay_with_their_images(residency):
    mesh = make_mesh(jax.devices()[:2])
    numbers = np.arange(40, dtype=np.uint8)
    images = np.zeros((40, 16, 16, 3), np.uint8) + numbers[:, None, None, None]
    attrs = np.stack([numbers % 2 == 1, numbers >= 20, numbers < 0], 1)
    store = Labelled(attrs, ("Odd", "Large", "None"))
    feed = make_feed(residency, images, np.arange(1, 40, 3), mesh, labels=Columns(store, ("Large", "Odd")))
    take, chunks = jax.jit(select, static_argnames="mesh"), feed.chunks(0)
    shapes = jax.tree.map(lambda x: (x.shape, x.dtype, x.sharding), feed.shapes)
    for _ in range(3):
        chunk = next(chunks)
        assert jax.tree.map(lambda x: (x.shape, x.dtype, x.sharding), chunk) == shapes and chunk.steps == K
        for i in range(K):
            batch = take(chunk, np.int32(i), mesh=mesh)
            n = np.asarray(batch.images)[:, 0, 0, 0]
            np.testing.assert_array_equal(batch.labels, np.stack([n >= 20, n % 2 == 1], 1))
            assert batch.labels.sharding.shard_shape(batch.labels.shape) == (B // 2, 2)


class Labelled:
    """The labels of a store."""

    def __init__(self, attrs, names):
        self.attrs, self.names = attrs, names

    def __len__(self):
        return len(self.attrs)

    def attribute(self, name):
        return self.names.index(name)


def test_batches_hold_the_rows_that_were_asked_for():
    mesh = make_mesh(jax.devices()[:1])
    images = np.zeros((10, 16, 16, 3), np.uint8) + np.arange(10, dtype=np.uint8)[:, None, None, None]
    chunk = next(make_feed("streamed", images, np.array([2, 3, 5, 7]), mesh).chunks(0))
    assert {int(x) for x in np.unique(chunk.images)} == {2, 3, 5, 7}


def test_auto_streams_what_does_not_fit(monkeypatch):
    mesh = make_mesh(jax.devices()[:1])
    small, large = (np.zeros((n, 16, 16, 3), np.uint8) for n in (8, 17))
    assert 2 * small.nbytes < free_bytes(mesh) and make_feed("auto", small, np.arange(8), mesh).resident
    # What is free changes from one look to the next, and images that just fit would take all of it.
    monkeypatch.setattr(feed, "free_bytes", lambda _: 2 * small.nbytes)
    assert make_feed("auto", small, np.arange(8), mesh).resident
    assert not make_feed("auto", large, np.arange(9), mesh).resident  # it would take more than half
    said = r"^residency=resident: [\d.]+ GiB of .* exceed the device's [\d.]+ GiB of free .*: "
    said += r"use --loop\.residency streamed$"
    with pytest.raises(InputError, match=said):
        make_feed("resident", large, np.arange(17), mesh)


def test_too_few_images_for_a_batch():
    with pytest.raises(InputError, match="3 training images do not fill one batch of batch_size=4"):
        make_feed("auto", np.zeros((3, 16, 16, 3), np.uint8), np.arange(3), make_mesh(jax.devices()[:1]))


def test_a_container_has_less_than_its_machine(tmp_path):
    def left(**files):
        for name, text in files.items():
            (tmp_path / name.replace("_", ".")).write_text(text)
        return available_bytes(tmp_path / "meminfo", tmp_path)

    machine = left(meminfo="MemTotal: 9 kB\nMemAvailable:      5 kB\n")
    assert machine == 5120
    limited = {"memory_current": "3000\n", "memory_stat": "anon 7\ninactive_file 500\nactive_file 100\n"}
    assert left(memory_max="4000\n", **limited) == 1500  # what caches would give up counts as free
    assert left(memory_max="2000\n") == 0  # set lower than what is in use
    assert left(memory_max="900000\n") == machine and left(memory_max="max\n") == machine
    assert left(memory_max="4000", memory_stat="") == machine  # a group that does not say
