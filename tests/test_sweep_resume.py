"""A sweep that was broken off, and what of it stays: its checkpoints, and its rows."""

import contextlib
import json
import shutil

import jax
import orbax.checkpoint as ocp
import pytest

from jvae.errors import InputError, InputWarning
from jvae.training.checkpoint import Checkpoints
from jvae.training.follow import glance
from jvae.training.history import HISTORY
from jvae.training.log import read_rows
from jvae.training.rows import Row
from jvae.training.run import steps_of
from jvae.training.sweep import sweep
from tests.faces import small_store
from tests.runs import TINY, assert_equal_files, assert_equal_states, fresh_state, last_state, stop_after

CONFIGS = {name: TINY.replace(steps=14, seed=seed) for seed, name in enumerate("abc")}
GOES_BACK = (
    "not all models have a checkpoint after step 6, and those of {} are now in the folder later of each: going on"
)


def start(out, configs=CONFIGS, **how):
    """Trains on one device; a call like another one compiles nothing."""
    return sweep(configs, small_store(), out, devices=jax.devices()[:1], progress=False, **how)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A sweep that nothing broke off, and its outcome: to be read."""
    out = tmp_path_factory.mktemp("whole") / "sweep"
    return out, start(out)


def fill_up(out, monkeypatch):
    """A sweep whose disk is full when b saves its second checkpoint: a has both."""
    usage = shutil.disk_usage(out)

    def free(run):
        return usage._replace(free=0) if run == out / "b" and steps_of(run) else usage

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", free)
        with pytest.raises(InputError, match=r"b is too full for a checkpoint: .* step 6 is kept: free space and run"):
            start(out)
    assert [steps_of(out / name) for name in CONFIGS] == [[6, 12], [6], [6]]


def assert_goes_on_as(whole, out, goes_back=""):
    """The same command ends as the sweep that nothing broke off."""
    before, outcome = whole
    with pytest.warns(InputWarning, match=goes_back) if goes_back else contextlib.nullcontext():
        assert start(out).rows == outcome.rows
    for name, cfg in CONFIGS.items():
        assert_equal_states(last_state(out / name, cfg), last_state(before / name, cfg))
        assert_equal_files(out / name, before / name)


def test_a_full_disk_ends_the_sweep_and_fails_no_model(whole, tmp_path, monkeypatch):
    fill_up(tmp_path, monkeypatch)
    assert all(row["failed"] is None for row in json.loads((tmp_path / "sweep.json").read_text()))
    assert_goes_on_as(whole, tmp_path, GOES_BACK.format("a"))


def test_a_sweep_that_goes_back_saves_what_it_does_then(whole, tmp_path, monkeypatch):
    fill_up(tmp_path, monkeypatch)
    with pytest.warns(InputWarning, match=GOES_BACK.format("a")):
        assert start(tmp_path, stopped=stop_after(1)).step == 9
    assert [steps_of(tmp_path / name) for name in CONFIGS] == [[6, 9]] * 3
    assert [path.name for path in (tmp_path / "a" / "later").iterdir()] == ["12"]
    assert_goes_on_as(whole, tmp_path)


def test_a_checkpoint_before_a_later_one_is_no_checkpoint(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(2, fresh_state())
        with pytest.raises(RuntimeError, match=r"of step 1 of .* was not saved: there are \[2\]"):
            checkpoints.save(1, fresh_state())


def test_no_model_gets_two_checkpoints_ahead_of_one_that_was_not_written(whole, tmp_path, monkeypatch):
    save, wait, failed = ocp.CheckpointManager.save, ocp.CheckpointManager.wait_until_finished, []

    def full(manager, step, **what):
        if (manager.directory.parent.name, step) == ("c", 12):
            failed.append(manager)
            return True
        return save(manager, step, **what)

    def said(manager):
        if manager in failed:
            raise ValueError("RESOURCE_EXHAUSTED: Error writing params: No space left on device")
        wait(manager)

    with monkeypatch.context() as patch:
        patch.setattr(ocp.CheckpointManager, "save", full)
        patch.setattr(ocp.CheckpointManager, "wait_until_finished", said)
        with pytest.raises(InputError, match="c is too full for a checkpoint: writing one failed"):
            start(tmp_path)
    assert [steps_of(tmp_path / name) for name in CONFIGS] == [[6, 12], [6, 12], [6]]
    assert_goes_on_as(whole, tmp_path, GOES_BACK.format("a, b"))


def written(out):
    return [Row(**row) for row in json.loads((out / "sweep.json").read_text())]


@pytest.fixture
def finished(whole, tmp_path):
    """A copy of the sweep that nothing broke off."""
    shutil.copytree(whole[0], tmp_path / "sweep")
    return tmp_path / "sweep"


def test_a_call_with_fewer_steps_than_are_done_scores_what_there_is(whole, finished):
    outcome = start(finished, {name: cfg.replace(steps=12) for name, cfg in CONFIGS.items()})
    assert (outcome.step, outcome.total) == (14, 12)
    assert outcome.rows == written(finished) == whole[1].rows


def test_rows_of_models_that_a_call_leaves_out_stay(whole, finished):
    before = [*whole[1].rows[:2], Row("c", 9, "objective", failed="the loss is not finite at step 10")]
    (finished / "sweep.json").write_text(json.dumps([row._asdict() for row in before]))
    outcome = start(finished, {"d": TINY.replace(steps=3)})
    assert written(finished) == [*before, *outcome.rows] and [row.name for row in outcome.rows] == ["d"]
    assert start(finished).rows == before


def test_scores_stay_until_there_are_newer_ones(whole, finished):
    longer = {name: cfg.replace(steps=20) for name, cfg in CONFIGS.items()}
    start(finished, longer, stopped=stop_after(1))
    assert written(finished) == [row._replace(step=17) for row in whole[1].rows]
    for name in CONFIGS:
        shutil.rmtree(finished / name)
    start(finished, longer, stopped=stop_after(1))  # anew
    assert written(finished) == [Row(name, 3, "objective", order=cfg.seed) for name, cfg in CONFIGS.items()]


def test_damaged_rows_are_named_before_anything_is_trained(finished):
    for damage in ("[{", '[{"name": "a"}]', '[{"name": "a", "step": "4", "best": "objective"}]'):
        (finished / "sweep.json").write_text(damage)
        with pytest.raises(InputError, match=r"sweep\.json is damaged \(.*\): put back a copy, or delete it"):
            start(finished)


def test_another_order_of_batches_is_refused(finished, tmp_path):
    told = (finished / "b" / HISTORY).read_text()
    with pytest.raises(InputError, match=r"b was trained .* order of seed=1 \(now 0\): leave out --shared-batches, or"):
        start(finished, shared_batches=True)
    assert (finished / "b" / HISTORY).read_text() == told  # it has not failed
    shared = tmp_path / "shared"
    start(shared, shared_batches=True, stopped=stop_after(1))
    way = "give --shared-batches and first a model of seed=0, or give another --out"
    with pytest.raises(InputError, match=rf"b was trained on batches in the order of seed=0 \(now 1\): {way}"):
        start(shared)
    with pytest.raises(InputError, match=rf"c was trained on batches in the order of seed=0 \(now 2\): {way}"):
        start(shared, dict(reversed(CONFIGS.items())), shared_batches=True)
    before = [{k: v for k, v in row._asdict().items() if k != "order"} for row in written(shared)]
    (shared / "sweep.json").write_text(json.dumps(before))  # as of an older jvae
    assert start(shared, stopped=stop_after(1)).step == 6
    assert [row.order for row in written(shared)] == [None] * 3  # they saw two


def test_a_model_that_failed_says_so_at_once_and_where_it_did(tmp_path):
    configs = {"a": CONFIGS["a"], "broken": CONFIGS["b"].replace(learning_rate=1e30)}
    seen = []

    def state():
        seen.append(glance(tmp_path / "broken").at.state)

    first = start(tmp_path, configs, stopped=state)
    assert seen == ["training", *["failed"] * 4]  # the first chunk is read while the second one runs
    again = start(tmp_path, {name: cfg.replace(steps=17) for name, cfg in configs.items()})
    assert [row.step for row in again.rows] == [17, 0] and again.rows[1] == first.rows[1]
    ends = [row for row in read_rows(tmp_path / "broken" / HISTORY) if row["event"] == "end"]
    assert [(row["step"], row["state"], row["why"]) for row in ends] == [(0, "failed", first.rows[1].failed)] * 2
