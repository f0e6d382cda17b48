"""The training loop as its users see it: a run directory that can be stopped, resumed and looked into."""

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import warnings

import jax
import numpy as np
import pytest

from faults import drift
from jvae.errors import InputError, InputWarning
from jvae.io.files import seal
from jvae.runtime.mesh import make_mesh
from jvae.trained import load
from jvae.training import loop
from jvae.training import step as step_module
from jvae.training.checkpoint import Checkpoints
from jvae.training.judge import train_judge
from jvae.training.log import Log, read_metrics, read_rows
from jvae.training.loop import train
from jvae.training.run import read_config
from jvae.training.sweep import sweep
from tests.faces import small_store
from tests.runs import ONE, TINY, assert_equal_files, assert_equal_states, last_state, stop_after, whole_run


@pytest.fixture(scope="module")
def store():
    return small_store()


@pytest.fixture(scope="module")
def whole():
    """A run that was never stopped."""
    return whole_run()


def test_a_run_leaves_everything_behind(whole):
    assert read_config(whole) == TINY
    assert sorted(p.name for p in (whole / "figures").iterdir()) == [f"step-{s:07d}.png" for s in (6, 12, 17)]
    assert list((whole / "events").glob("events.out.tfevents.*"))
    steps = [(r["split"], r["step"]) for r in read_metrics(whole)]
    assert [step for split, step in steps if split == "train"] == [3, 6, 9, 12, 15, 17]
    assert [step for split, step in steps if split == "validation"] == [6, 12, 17]
    row = read_metrics(whole)[-1]
    assert row["objective"] == pytest.approx(10_000 * row["sampled_error"] + row["kl"])
    assert row["n"] == len(small_store().indices("validation"))
    assert {"nats", "bits_per_dim", "beta", "sigma", "r_loss_factor"} <= row.keys()
    times = read_rows(whole / "timings.jsonl")
    assert [row["step"] for row in times] == [3, 6, 9, 12, 15, 17] and all(row["images_per_s"] > 0 for row in times)
    assert [i for i, row in enumerate(times) if "compile_seconds" in row] == [0]


def test_the_loss_falls(whole):
    losses = [r["loss"] for r in read_metrics(whole) if r["split"] == "train"]
    assert losses[-1] < losses[0]


def test_the_last_two_and_the_best_checkpoint_are_kept(whole):
    scored = {r["step"]: r["objective"] for r in read_metrics(whole) if r["split"] == "validation"}
    best = min(scored, key=scored.__getitem__)
    with Checkpoints(whole, read_only=True) as checkpoints:
        assert checkpoints.last_step == 17 and checkpoints.best_step == best
    kept = {int(p.name) for p in (whole / "checkpoints").iterdir() if p.name.isdigit()}
    assert kept == {12, 17, best}
    assert not (whole / "checkpoints" / "deleted").exists() and not (whole / ".lock").exists()


@pytest.mark.parametrize("chunks", [1, 4])
def test_a_resumed_run_is_bit_identical(whole, store, tmp_path, chunks):
    run = tmp_path / "run"
    outcome = train(TINY, store, run, mesh=ONE, progress=False, stopped=stop_after(chunks))
    assert outcome.signum == signal.SIGTERM and outcome.step == 3 * chunks
    assert train(TINY, store, run, mesh=ONE, progress=False).step == 17
    assert_equal_states(last_state(run), last_state(whole))
    assert_equal_files(run, whole)


def test_rows_after_the_last_checkpoint_are_dropped_on_resume(whole, store, tmp_path):
    run = tmp_path / "run"
    train(TINY, store, run, mesh=ONE, progress=False, stopped=stop_after(2))
    with (run / "metrics.jsonl").open("a") as file:  # what a killed run leaves: later rows, and one cut short
        file.write(json.dumps(seal({"step": 9, "split": "train", "loss": 1.0})) + '\n{"step": 12, "spl')
    train(TINY, store, run, mesh=ONE, progress=False)
    assert_equal_states(last_state(run), last_state(whole))
    assert [r["step"] for r in read_metrics(run)] == [r["step"] for r in read_metrics(whole)]


def copy_as_it_is(run, to):
    """What a kill would leave now, checkpoints half written as well; again where a name changed while it was copied."""

    def names():
        return sorted((folder, *sorted(files)) for folder, _, files in os.walk(run))

    for _ in range(100):
        before = names()
        with contextlib.suppress(shutil.Error):  # something was renamed or removed
            shutil.copytree(run, to)
            if names() == before:
                return
        shutil.rmtree(to)
    pytest.fail(f"{run} could not be copied in one piece")


def test_a_run_killed_after_any_row_ends_as_if_it_had_not_been(whole, store, tmp_path, monkeypatch):
    left, write = [], Log.write

    def killed_here(log, *row):
        write(log, *row)
        left.append(tmp_path / str(len(left)))
        copy_as_it_is(run, left[-1])

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Log, "write", killed_here)
        train(TINY, store, run, mesh=ONE, progress=False)
    assert len(left) == 9
    for folder in left[1::3]:
        assert train(TINY, store, folder, mesh=ONE, progress=False).step == 17
        assert_equal_states(last_state(folder), last_state(whole))
        assert_equal_files(folder, whole)


def test_a_finished_run_is_left_alone(whole, store):
    before = (whole / "metrics.jsonl").read_bytes()
    outcome = train(TINY, store, whole, mesh=ONE, progress=False)
    assert (outcome.step, outcome.scores) == (17, None)
    assert (whole / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize("changes", [{"residency": "streamed"}, {"chunk_steps": 5}])
def test_how_it_is_fed_does_not_change_the_result(whole, store, tmp_path, changes):
    run = tmp_path / "run"
    train(TINY.replace(**changes), store, run, mesh=ONE, progress=False)
    assert_equal_states(last_state(run), last_state(whole))


def test_two_devices_agree_with_one(whole, store, tmp_path):
    if len(jax.devices()) < 2:
        pytest.skip("needs two devices")
    run = tmp_path / "run"
    train(TINY, store, run, mesh=make_mesh(jax.devices()[:2]), progress=False)
    ours = [r["loss"] for r in read_metrics(run) if r["split"] == "train"]
    theirs = [r["loss"] for r in read_metrics(whole) if r["split"] == "train"]
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)


def test_a_config_that_has_changed_is_named(whole, store, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    text = (run / "config.json").read_text()
    for changed in (text.replace('"latent_dim": 6', '"latent_dim": 7'), text[:-20], "[]"):
        (run / "config.json").write_text(changed)
        for use in (lambda: load(run, mesh=ONE), lambda: train(TINY, store, run, mesh=ONE, progress=False)):
            with pytest.raises(InputError, match=r"config\.json is damaged \(.*\): put back a copy"):
                use()


def test_another_config_is_refused_and_nothing_is_lost(whole, store):
    before = (whole / "config.json").read_bytes()
    with pytest.raises(InputError, match=r"latent_dim=6 \(now 7\): give the same settings, or another --out"):
        train(TINY.replace(latent_dim=7), store, whole, mesh=ONE, progress=False)
    assert (whole / "config.json").read_bytes() == before


def test_a_run_that_failed_before_its_first_checkpoint_may_change_its_settings(store, tmp_path):
    run = tmp_path / "run"
    for broken in (TINY.replace(batch_size=1000), TINY.replace(learning_rate=1e30)):  # no batch; not finite
        with pytest.raises(InputError):
            train(broken, store, run, mesh=ONE, progress=False)
    mended = TINY.replace(steps=3)
    assert train(mended, store, run, mesh=ONE, progress=False).step == 3
    assert read_config(run) == mended
    with pytest.raises(InputError, match=r"learning_rate=0\.005 \(now 1e\+30\)"):
        train(TINY.replace(learning_rate=1e30), store, run, mesh=ONE, progress=False)


def test_a_batch_that_does_not_divide_is_refused_before_anything_is_written(store, tmp_path):
    if len(jax.devices()) < 2:
        pytest.skip("needs two devices")
    with pytest.raises(InputError, match="batch_size=9 does not divide over 2 devices: use 8 or 10"):
        train(TINY.replace(batch_size=9), store, tmp_path / "run", mesh=make_mesh(jax.devices()[:2]), progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_split_that_is_needed_at_the_end_is_asked_for_before_there_is_a_run(store, tmp_path, split):
    lacking = dataclasses.replace(store, splits=np.where(store.splits == split, "train", store.splits))
    starts = [
        lambda out: sweep({"a": TINY}, lacking, out, progress=False),
        lambda out: train_judge(lacking, out, mesh=ONE, progress=False),
        lambda out: train(TINY, lacking, out, mesh=ONE, progress=False),
    ]
    for start in starts[: 3 if split == "validation" else 2]:  # `train` never looks at the other
        with pytest.raises(InputError, match=f"has no {split} images"):
            start(tmp_path / "out" / "run")
    assert not any(tmp_path.iterdir())


def test_a_store_that_the_layers_cannot_halve_is_refused(store, tmp_path):
    with pytest.raises(InputError, match="image_size=16 is no multiple of 32, as 5 stride-2 layers need"):
        train(TINY.replace(image_size=32, widths=(4,) * 5), store, tmp_path / "run", mesh=ONE, progress=False)
    assert not (tmp_path / "run").exists()


def test_training_in_bfloat16_works_on_a_cpu(store, tmp_path):
    cfg = TINY.replace(dtype="bfloat16", steps=3)
    outcome = train(cfg, store, tmp_path / "run", mesh=ONE, progress=False)
    assert outcome.scores is not None and np.isfinite(outcome.scores["objective"])


def test_the_loop_is_traced_once(store, tmp_path, traced_once, monkeypatch):
    traced = traced_once(lambda state: state)
    honest = step_module.train_step

    def counted(task, state, *rest):
        return honest(task, traced(state), *rest)

    monkeypatch.setattr(step_module, "train_step", counted)
    cfg = TINY.replace(adam_epsilon=2e-7)  # another program than that of earlier tests
    train(cfg, store, tmp_path / "run", mesh=ONE, progress=False)  # 17 steps in chunks of 3: the last is partial


def test_a_soak_traces_nothing_again(tmp_path):
    (row,) = drift.run(80, tmp_path)  # of so few chunks memory says nothing yet
    assert row.times == 80 and "; 0 functions traced again" in row.outcome


def test_nothing_crosses_to_the_device_unasked(store, tmp_path, monkeypatch):
    honest = loop.Feed.chunks

    def on_the_host(self, step):
        for chunk in honest(self, step):
            yield chunk._replace(images=np.asarray(chunk.images))

    monkeypatch.setattr(loop.Feed, "chunks", on_the_host)
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"Disallowed .* transfer"):
        train(TINY, store, tmp_path / "run", mesh=ONE, progress=False)


@pytest.mark.parametrize("start", ["train", "sweep"])
def test_a_warm_up_that_never_ends_is_said(store, tmp_path, start):
    said = r"warmup_steps=17 and the run has 17 steps: .* rises to its end, to 0.0047 of 0.005; train longer"
    cfg = TINY.replace(warmup_steps=17)
    with pytest.warns(InputWarning, match=said), pytest.raises(InputError, match=r"differ|holds a run with"):
        if start == "train":
            train(cfg, store, whole_run(), mesh=ONE, progress=False)
        else:
            sweep({"a": cfg, "b": cfg.replace(batch_size=4)}, store, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cfg.optimizer.warn_unless_over(18)


def test_a_second_run_compiles_nothing(store, tmp_path, compiles):
    train(TINY, store, tmp_path / "first", mesh=ONE, progress=False)
    with compiles(at_most=0):
        train(TINY, store, tmp_path / "second", mesh=ONE, progress=False)


def test_a_jax_that_compiles_nothing_is_refused_before_there_is_a_run(tmp_path):
    with jax.disable_jit(), pytest.raises(InputError, match=r"JAX_DISABLE_JIT is set, .*: unset it"):
        train(TINY, small_store(), tmp_path / "run", mesh=ONE, progress=False)
    assert not (tmp_path / "run").exists()
