"""Two and four processes on this machine: the same run as in one, and an end in one line when one of them is gone."""

import shutil
import signal

import jax
import numpy as np
import pytest

from jvae.errors import InputError
from jvae.runtime import watch
from jvae.runtime.mesh import make_mesh
from jvae.runtime.processes import ALONE, Processes, launched
from jvae.trained import load
from jvae.training.log import read_metrics
from jvae.training.loop import train
from tests.faces import small_store
from tests.launch import free_port, launch, start, wait
from tests.together import TINY, leaves, losses, measured

ONE = make_mesh(jax.devices()[:1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store; and runs of one process: run1 whole, run1to2 stopped after 6 steps."""
    folder = tmp_path_factory.mktemp("processes")
    store = small_store()
    shutil.copytree(store.path, folder / "store")
    for name, chunks in (("run1", None), ("run1to2", 3)):
        asked = iter(range(1, 100))
        train(
            TINY, store, folder / name, mesh=ONE, progress=False, stopped=lambda n=chunks, a=asked: n == next(a) or None
        )
    return folder


@pytest.fixture(scope="module")
def two(folder):
    """How two processes ended, of which the second is killed at the end, and what each found."""
    ended = launch(2, "-m", "tests.together", "--tour", "two", "--folder", str(folder), folder=folder / "two")
    assert [e.code for e in ended] == [watch.EXIT, -9], ended
    return ended, [dict(np.load(folder / f"two-{i}.npz")) for i in range(2)]


def test_flags_go_together():
    with pytest.raises(InputError, match="--process-id is missing: --coordinator, --num-processes, --process-id"):
        with Processes("localhost:1", 2).joined():
            pass
    for flags, said in (
        (Processes("localhost", 2, 0), "coordinator=localhost: must be HOST:PORT"),
        (Processes("localhost:x", 2, 0), "must be HOST:PORT"),
        (Processes("localhost:1", 2, 2), "process_id=2: must be from 0 to 1"),
        (Processes("localhost:1", 2, -1), "process_id=-1: must be from 0 to 1"),
        (Processes("localhost:1", 0, 0), "num_processes=0: must be at least 1"),
    ):
        with pytest.raises(InputError, match=said), flags.joined():
            pass


def test_one_process_starts_nothing(monkeypatch):
    monkeypatch.setattr(jax.distributed, "initialize", lambda *_, **__: pytest.fail("it was started"))
    monkeypatch.setenv("SLURM_NTASKS", "4")  # of a job, of which this is no step
    for alone in (ALONE, Processes("localhost:1", 1, 0)):
        with alone.joined():
            assert jax.process_count() == 1


def test_launchers_are_seen(monkeypatch):
    assert launched() == 1
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "0")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "3")
    assert launched() == 3


def test_two_processes_train_as_one(folder, two):
    ours, theirs = losses(folder / "run2"), losses(folder / "run1")
    assert len(ours) == 6
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    for a, b in zip(
        leaves(load(folder / "run2", which="last")), leaves(load(folder / "run1", which="last")), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_a_signal_to_one_stops_both_at_the_same_step(two):
    for found in two[1]:
        assert found["stop"].tolist() == [4, signal.SIGTERM, 12]


def test_each_reads_its_own_share(two):
    first, second = (set(found["read"].tolist()) for found in two[1])  # 4 steps, and 2 read ahead: an epoch
    assert not first & second
    assert len(first) == len(second) == 6 * TINY.loop.batch_size // 2


def test_only_process_0_writes_and_speaks(folder, two):
    ended, _ = two
    assert [e.out for e in ended] == ["done\n", ""]
    steps = [(row["split"], row["step"]) for row in read_metrics(folder / "run2")]
    assert steps == [(row["split"], row["step"]) for row in read_metrics(folder / "run1")]
    assert "validation objective" in ended[0].err and not ended[1].err


def test_two_processes_find_what_one_finds(folder, two):
    alone = measured(load(folder / "run2", which="last", mesh=ONE), small_store())
    first, second = two[1]
    for name, value in alone.items():
        np.testing.assert_array_equal(first[name], second[name])
        if name == "decoded":
            assert np.abs(first[name].astype(int) - value).max() <= 1
        else:
            np.testing.assert_allclose(first[name], value, rtol=1e-5, atol=1e-4)


def test_a_checkpoint_of_one_goes_on_in_two(folder, two):
    np.testing.assert_allclose(losses(folder / "run1to2"), losses(folder / "run1"), rtol=1e-5)


def test_a_checkpoint_of_two_goes_on_in_one(folder, two):
    train(TINY, small_store(), folder / "run2to1", mesh=ONE, progress=False)
    np.testing.assert_allclose(losses(folder / "run2to1"), losses(folder / "run1"), rtol=1e-5)


def test_a_checkpoint_of_two_goes_on_in_four(folder, two):
    ended = launch(4, "-m", "tests.together", "--tour", "four", "--folder", str(folder), folder=folder / "four")
    assert [e.code for e in ended] == [-9, *[watch.EXIT] * 3], ended
    np.testing.assert_allclose(losses(folder / "run2to4"), losses(folder / "run1")[:4], rtol=1e-5)
    for i, e in enumerate(ended):
        assert np.load(folder / f"four-{i}.npz")["stop"].tolist() == [8, signal.SIGTERM]
        if i > 0:  # the coordinator is gone
            assert e.lines == ["error: process 0 died, and this process ends with it: start all of them again"]
            assert e.seconds < 30


def test_a_process_that_dies_ends_the_others_in_one_line(two):
    (survivor, _), _ = two
    assert survivor.lines[-1] == "error: process 1 died, and this process ends with it: start all of them again"
    assert sum("rror" in line for line in survivor.lines if "validation" not in line) == 1
    assert survivor.seconds < 30


def test_settings_that_differ_are_found(folder, two):
    for found in two[1]:
        said = "process 1 has other settings or data than process 0: start all with the same"
        assert found["differing"].tolist() == [said, said]  # another seed; images that are cut in another way
    assert not (folder / "differing").exists()


SCRIPT = """
import jax
from jax.experimental import multihost_utils
from jvae.cli.run import run
from jvae.runtime import processes
from jvae.errors import InputError

@processes.together
def main(fail: int) -> None:
    if jax.process_index() == fail:
        raise InputError("the store is missing")
    multihost_utils.sync_global_devices("never reached by the one that fails")

run(main)
"""


def test_what_one_process_has_wrong_ends_both(folder):
    ended = launch(2, "-c", SCRIPT, "--fail", "1", folder=folder / "failing")
    assert [e.code for e in ended] == [watch.EXIT, 2], ended
    end = "and this process ends with it: start all of them again"
    assert ended[0].lines == [f"error: process 1 failed: the store is missing, {end}"]
    assert ended[1].lines == ["error: the store is missing"]


def test_damage_of_the_copy_that_one_process_reads_ends_both(folder):
    stores = [folder / f"copy-{i}" for i in range(2)]
    for copy in stores:
        shutil.copytree(folder / "store", copy)
    images = bytearray((stores[1] / "images.npy").read_bytes())
    images[500] ^= 1  # of the first image
    (stores[1] / "images.npy").write_bytes(images)
    flags = ("--model.widths", "4", "--loop.batch-size", "16", "--loop.steps", "1000", "--out", str(folder / "copied"))
    each = [("--data", str(copy)) for copy in stores]
    here = folder / "copies"
    ended = wait(start(2, "-m", "jvae", "train", "book", *flags, folder=here, each=each), here)
    assert [e.code for e in ended] == [watch.EXIT, 2], ended
    assert [line for line in ended[1].lines if "error" in line] == [line for line in ended[1].lines if "copy-1" in line]
    assert ended[0].lines[-1].startswith("error: process 1 failed: ") and "copy-1/images.npy is damaged" in ended[0].err


def test_a_process_that_stands_still_for_minutes_is_waited_for(monkeypatch):
    def initialize(*_, heartbeat_timeout_seconds, **__):
        assert heartbeat_timeout_seconds > 600
        raise RuntimeError("as far as this test goes")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    with pytest.raises(InputError, match="as far as this test goes"), Processes("localhost:1", 2, 0).joined():
        pass


def test_nobody_there_is_one_line(folder):
    address = f"localhost:{free_port()}"
    flags = ("--coordinator", address, "--num-processes", "2", "--process-id", "1")
    (ended,) = launch(1, "-c", SCRIPT, "--fail", "0", "--patience", "1", *flags, folder=folder / "nobody")
    assert ended.code == 2
    assert len(ended.lines) == 1 and f"not all processes met at {address} within 1 s" in ended.err
