import json
import os
import signal
import subprocess
import sys

import pytest

from jvae.cli import runs
from jvae.data.packed import pack
from jvae.errors import InputError
from jvae.io.files import holder, locked
from jvae.training.history import HISTORY, find_runs, recorded, runs_table, standing
from jvae.training.log import METRICS, Log, NoTracker, read_rows
from jvae.training.loop import train
from jvae.training.run import LOCK, Record, claim_run
from tests.faces import small_store
from tests.runs import ONE, TINY
from tests.test_faces import Plain

SHORT = TINY.replace(steps=6, eval_every=3)


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "runs" / "one"
    claim_run(folder, Record(SHORT))
    return folder


def test_a_run_says_what_made_it(tmp_path):
    run, store = tmp_path / "runs" / "one", small_store()
    train(SHORT, store, run, mesh=ONE, progress=False)
    start, end = read_rows(run / HISTORY)
    assert start["total"] == 6 and start["data"] == {
        "path": str(store.path), "checksum": store.checksum, "images": len(store)
    }  # fmt: skip
    assert start["versions"]["jax"] and start["devices"] and start["processes"] == 1
    assert (end["state"], end["step"]) == ("finished", 6)
    now = standing(run)
    assert (now.state, now.step, now.total, now.preset) == ("finished", 6, 6, "tiny")
    assert (now.model, now.objective) == ("book", "vae")
    scored = [row for row in read_rows(run / METRICS) if row["split"] == "validation"]
    assert (
        now.score == "objective" and now.lowest == min(row["objective"] for row in scored) and now.best_step in (3, 6)
    )

    other = pack(Plain(), tmp_path / "other", size=16, crop="center", progress=False)
    with pytest.raises(InputError, match=f"was trained on .* {store.checksum}, and .* has {other.checksum}: give the"):
        train(SHORT.replace(steps=12), other, run, mesh=ONE, progress=False)
    assert standing(run).state == "finished"  # what was refused is not a call
    train(SHORT.replace(steps=7), store, run, mesh=ONE, progress=False, stopped=lambda: signal.SIGTERM)
    assert standing(run)[:2] == (run, "stopped") and standing(run).why == "signal 15"


@pytest.mark.parametrize(
    ("error", "state", "why"),
    [
        (InputError("the loss is not finite"), "failed", "jvae.errors.InputError: the loss is not finite"),
        (ZeroDivisionError("by 0"), "failed", "ZeroDivisionError: by 0"),
        (KeyboardInterrupt(), "stopped", "interrupted"),
    ],
)
def test_how_a_run_ended(run, error, state, why):
    with pytest.raises(type(error)), recorded(run, small_store(), 9, "objective"):
        raise error
    assert (standing(run).state, standing(run).why, standing(run).total) == (state, why, 9)


def test_a_row_that_a_kill_cut_short_is_dropped(run):
    for _ in range(2):
        with recorded(run, small_store(), 9, "objective") as call:
            call.ended(9)
        whole = read_rows(run / HISTORY)
        with (run / HISTORY).open("a") as file:
            file.write('{"time": "2026-')
    assert [row["event"] for row in read_rows(run / HISTORY)] == ["start", "end"] * 2 and read_rows(
        run / HISTORY
    ) == whole


def test_the_best_is_finite(run):
    scores = [(2, float("nan")), (4, 3.0), (6, 2.0), (8, float("-inf"))]
    rows = [{"step": step, "split": "validation", "objective": score} for step, score in scores]
    (run / METRICS).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert (standing(run).lowest, standing(run).best_step) == (2.0, 6)
    (run / METRICS).write_text(f"{json.dumps(rows[0])}\n")
    assert standing(run).best_step is None


def test_a_killed_run_and_one_that_trains(run):
    code = (
        "import os, sys; from pathlib import Path; from jvae.data.packed import PackedStore\n"
        "from jvae.training.history import recorded\n"
        "with recorded(Path(sys.argv[1]), PackedStore.open(sys.argv[2]), 9, 'objective'): os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, run, small_store().path], check=False)
    assert done.returncode == -9
    assert standing(run).state == "killed"
    with locked(run / LOCK, run):
        assert holder(run / LOCK) == str(os.getpid())
        assert (standing(run).state, standing(run).why) == ("training", f"process {os.getpid()}")
    assert holder(run / LOCK) is None and standing(run).state == "killed"


def test_the_list(run, monkeypatch, capsys):
    with recorded(run, small_store(), 9, "objective") as call:
        call.ended(9)
    (run / METRICS).write_text(
        "".join(json.dumps({"step": s, "split": "validation", "objective": o}) + "\n" for s, o in [(4, 3.0), (9, 5.0)])
    )
    inner = run.parent / "sweep" / "two"
    claim_run(inner, Record(SHORT))
    broken = run.parent / "sweep" / "broken"
    claim_run(broken, Record(SHORT))
    (broken / "config.json").write_text("{")
    assert find_runs(run.parent) == [run, broken, inner]
    shown = runs_table([standing(r) for r in find_runs(run.parent)], run.parent)
    assert list(shown["state"]) == ["finished", "failed", "unknown"]
    assert list(shown.loc["one"][["step", "best", "at"]]) == ["9 of 9", "objective 3", "4"]
    assert "config.json is damaged" in shown.loc["sweep/broken", "why"]
    runs.main(run.parent)
    assert "sweep/two" in capsys.readouterr().out
    with pytest.raises(InputError, match="there is no folder"):
        runs.main(run.parent / "absent")
    empty = run.parent.parent / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="there is no run in"):
        runs.main(empty)


def test_a_changed_digit_is_found(tmp_path):
    with Log(tmp_path, 0, NoTracker()) as log:
        for step in (1, 2):
            log.write(step, "validation", {"objective": 1.5})
    assert read_rows(tmp_path / METRICS)[1] == {"step": 2, "split": "validation", "objective": 1.5}
    whole = (tmp_path / METRICS).read_text()
    (tmp_path / METRICS).write_text(changed := whole[::-1].replace("5.1", "5.7", 1)[::-1])
    for reader in (lambda: read_rows(tmp_path / METRICS), lambda: Log(tmp_path, 2, NoTracker())):
        with pytest.raises(InputError, match="is damaged in line 2"):
            reader()
    assert (tmp_path / METRICS).read_text() == changed  # nothing is dropped without a word
    old = json.dumps({"step": 0, "split": "train"}) + "\n"  # as an older jvae wrote it
    (tmp_path / METRICS).write_text(old + whole)
    assert len(read_rows(tmp_path / METRICS)) == 3
    (tmp_path / METRICS).write_text(whole + old)
    with pytest.raises(InputError, match="is damaged in line 3"):
        read_rows(tmp_path / METRICS)
