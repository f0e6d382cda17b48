"""What a run directory is kept from: full disks, damage, two at once, and what is no run."""

import json
import os
import shutil
import signal

import pytest

from jvae.data.packed import PackedStore
from jvae.errors import InputError, InputWarning
from jvae.io.files import seal, unseal
from jvae.trained import load
from jvae.training.checkpoint import Checkpoints
from jvae.training.log import read_metrics
from jvae.training.loop import train
from tests.faces import small_store
from tests.runs import ONE, TINY, assert_equal_files, assert_equal_states, last_state, shapes_of, stop_after, whole_run


@pytest.fixture(scope="module")
def store():
    return small_store()


@pytest.fixture(scope="module")
def whole():
    """A run that was never stopped."""
    return whole_run()


def test_a_full_disk_is_one_line_and_the_checkpoint_before_stays(store, tmp_path, monkeypatch):
    run = tmp_path / "run"
    train(TINY, store, run, mesh=ONE, progress=False, stopped=stop_after(2))
    good = last_state(run)
    usage = shutil.disk_usage(run)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(InputError, match=r"too full for a checkpoint: 1 MiB are needed for step 12, .*step 6 is kept"):
        train(TINY, store, run, mesh=ONE, progress=False)
    assert_equal_states(last_state(run), good)


def test_a_disk_that_fills_up_in_the_middle_is_named_too(tmp_path):
    with pytest.raises(InputError, match="writing one failed; no checkpoint was saved"), Checkpoints(tmp_path) as saved:
        with saved._full_disk_named():
            raise ValueError("RESOURCE_EXHAUSTED: Error writing params: No space left on device")


def flip(path):
    """Changes a byte in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)


def largest(folder):
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def test_a_damaged_checkpoint_is_put_aside_and_the_one_before_taken(whole, store, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    flip(largest(run / "checkpoints" / "17"))
    with pytest.warns(InputWarning, match=r"step 17 is damaged .* and now in .*damaged/17: going on from 12"):
        outcome = train(TINY, store, run, mesh=ONE, progress=False)
    assert outcome.step == 17
    assert_equal_states(last_state(run), last_state(whole))
    assert_equal_files(run, whole)
    assert (run / "damaged" / "17").is_dir()


def test_inference_passes_over_a_damaged_checkpoint_and_leaves_it(whole, store, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    with Checkpoints(run, read_only=True) as checkpoints:
        best, steps = checkpoints.best_step, checkpoints.steps
    flip(largest(run / "checkpoints" / str(best) / "variables"))
    with pytest.warns(InputWarning, match=f"step {best} is damaged .*: taking that of step"):
        assert load(run, mesh=ONE).step != best
    flip(run / "checkpoints" / str(best) / "record" / "metadata")
    with pytest.warns(InputWarning, match="the checkpoint of step 17 is damaged"):
        assert load(run, which="last", mesh=ONE).step == 12
    for step in steps:
        shutil.rmtree(run / "checkpoints" / str(step) / "variables")
    with pytest.raises(InputError, match=r"no checkpoint of .* is whole \(step .*; step .*\): put back a copy"):
        load(run, mesh=ONE)
    with pytest.raises(InputError, match="is whole"):
        train(TINY, store, run, mesh=ONE, progress=False)
    assert {int(p.name) for p in (run / "checkpoints").iterdir()} == set(steps)  # nothing is moved for nothing


def test_a_sum_that_does_not_match_is_damage(whole, tmp_path):
    """Values that can be read and are not those that were saved."""
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    record = run / "checkpoints" / "17" / "record" / "metadata"
    fields = unseal(json.loads(record.read_text()))
    name = next(name for name in fields["crc32"] if name.startswith("training/opt_state"))
    fields["crc32"][name] = "00000000"
    record.write_text(json.dumps(seal(fields)))
    like = shapes_of()
    with Checkpoints(run, read_only=True) as checkpoints:
        assert checkpoints.verify(17, like) == f"{name} is not what was saved"
        assert checkpoints.verify(12, like) is None


def test_damaged_images_stop_a_run_before_its_first_step(store, tmp_path):
    copy = tmp_path / "store"
    shutil.copytree(store.path, copy)
    flip(copy / "images.npy")
    with pytest.raises(InputError, match=r"images\.npy is damaged: the images of rows 0 to 119 are not"):
        train(TINY, PackedStore.open(copy), tmp_path / "run", mesh=ONE, progress=False)
    assert not read_metrics(tmp_path / "run")


def test_a_second_training_in_one_run_directory_is_refused(store, tmp_path):
    run, refused = tmp_path / "run", []

    def second():
        with pytest.raises(InputError, match=rf"run is in use by process {os.getpid()}: wait until it ends") as caught:
            train(TINY, store, run, mesh=ONE, progress=False)
        refused.append(caught)
        return signal.SIGTERM

    train(TINY, store, run, mesh=ONE, progress=False, stopped=second)
    assert len(refused) == 1
    assert not (run / ".lock").exists()


def test_a_damaged_row_of_metrics_is_named(whole, store, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    lines = (whole / "metrics.jsonl").read_bytes().split(b"\n")
    (run / "metrics.jsonl").write_bytes(b"\n".join([lines[0], b"\xff" + lines[1], *lines[2:]]))
    shutil.rmtree(run / "checkpoints" / "17")
    with pytest.raises(InputError, match=r"metrics\.jsonl is damaged in line 2: put back a copy"):
        train(TINY, store, run, mesh=ONE, progress=False)


def test_what_a_kill_before_the_config_left_is_no_obstacle(store, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / ".lock").write_text("1\n")
    (run / f".config.json.{2**22 + 1}.part").write_text("{")
    assert train(TINY, store, run, mesh=ONE, progress=False).step == 17
    assert not [path for path in run.iterdir() if path.name.startswith(".")]


def test_a_folder_that_is_no_run_is_refused(store, tmp_path):
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(InputError, match="exists and is no run directory"):
        train(TINY, store, tmp_path, mesh=ONE, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["letters.txt"]
