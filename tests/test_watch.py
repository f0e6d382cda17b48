"""`jvae watch`: how a run goes, by its files alone, whatever state they are in."""

import json
import os
import types

import pytest

from jvae.cli import watch
from jvae.errors import InputError
from jvae.io.files import locked
from jvae.training import follow
from jvae.training.follow import PATIENCE, STARTING, glance, picture, pictures, spoken
from jvae.training.history import HISTORY, recorded, standing
from jvae.training.log import METRICS, TIMINGS, Log, NoTracker
from jvae.training.rows import SWEEP
from jvae.training.run import LOCK, Record, claim_run
from tests.faces import small_store
from tests.runs import TINY

NOW = 1_800_000_000.0
EVERY = 2.5  # seconds a row


@pytest.fixture
def clock(monkeypatch):
    """The time, which passes only when it is told to."""
    found = types.SimpleNamespace(now=NOW)
    found.time = lambda: found.now
    monkeypatch.setattr(follow, "time", found)
    monkeypatch.setattr("jvae.training.log.time", found)
    return found


def write(run, clock, steps, *, end=None, total=60):
    """What a run that has done these steps, 5 a row, leaves; without an `end` it still goes on."""
    claim_run(run, Record(TINY))
    with recorded(run, small_store(), total, "objective") as call:
        started = (run / HISTORY).read_bytes()
        with Log(run, 0, NoTracker()) as log:
            for step in range(5, steps + 1, 5):
                clock.now += EVERY
                log.write(step, "train", {"loss": 100 - step, "kl": 1.0})
                log.write_times(step, {"images_per_s": 1000.0})
                if step % 20 == 0:
                    log.write(step, "validation", {"objective": 90.0 - step if step < 60 else 80.0})
        call.end |= end or {}
    if end is None:
        (run / HISTORY).write_bytes(started)
    touch(run, clock)


def touch(run, clock):
    for name in (METRICS, TIMINGS, HISTORY, "config.json"):
        if (run / name).exists():
            os.utime(run / name, (clock.now, clock.now))


def test_a_run_that_goes_on(tmp_path, clock):
    write(run := tmp_path / "run", clock, 45)
    clock.now += 4
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in run.rglob("*") if path.is_file()}
    found = glance(run)
    assert not found.over and found.state == "training, last row 4 s ago"
    assert found.progress == "step 45 of 60 (75%), 2 steps/s, 8 s left"
    assert found.best == "best checkpoint: objective 50, of step 40"
    assert (found.name, found.marks) == ("loss", ([20, 40], [70.0, 50.0])) and found.line[1][-1] == 55
    assert before == {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in run.rglob("*") if path.is_file()}
    with locked(run / LOCK, run):  # as the training has it: nobody else's lock is in the way, nor is theirs in ours
        assert glance(run) == found


def test_silence(tmp_path, clock):
    write(run := tmp_path / "run", clock, 45)
    clock.now += PATIENCE - 1
    assert not glance(run).over
    clock.now += 2
    assert glance(run).state == "no word for 5 min 1 s: it was killed, or hangs; the same command goes on"
    (run / METRICS).unlink()
    (run / TIMINGS).unlink()
    assert not glance(run).over and glance(run).best == "no validation yet"  # it may still compile
    assert picture(glance(run), 60, 20)[1:3] == ["step 0 of 60 (0%)", "no validation yet"]
    clock.now += STARTING
    assert glance(run).over


@pytest.mark.parametrize(
    ("end", "state"),
    [
        ({"state": "finished", "step": 45}, "finished"),
        ({"state": "stopped", "why": "signal 15"}, "stopped (signal 15); the same command goes on"),
        ({"state": "failed", "why": "the loss"}, "failed: the loss"),
    ],
)
def test_a_run_that_has_ended(tmp_path, clock, end, state):
    write(run := tmp_path / "run", clock, 45, end=end)
    assert glance(run).over and glance(run).state == state and "left" not in glance(run).progress


def test_a_last_line_that_is_half_written_and_a_damaged_one(tmp_path, clock):
    write(run := tmp_path / "run", clock, 45)
    for name in (METRICS, TIMINGS, HISTORY):
        with (run / name).open("a") as file:
            file.write('{"step": 50, "spl')
    touch(run, clock)
    assert glance(run).at.step == 45 and not glance(run).over
    (run / TIMINGS).write_text("nothing\n")
    assert glance(run).progress == "step 45 of 60 (75%)"  # which costs the pace alone
    (run / METRICS).write_text("nothing\n")
    assert glance(run).over and "metrics.jsonl is damaged in line 1" in glance(run).state


def test_a_run_of_another_version_is_followed_too(tmp_path, clock):
    write(run := tmp_path / "run", clock, 45)
    (run / "config.json").write_text((run / "config.json").read_text().replace('"version"', '"later": 1, "version"'))
    touch(run, clock)
    found = glance(run)
    assert not found.over and found.progress == "step 45 of 60 (75%), 2 steps/s, 8 s left"
    assert picture(found, 60, 20)[0] == str(run) and standing(run).state == "failed"


def test_rows_of_an_older_jvae_have_no_time(tmp_path, clock):
    write(run := tmp_path / "run", clock, 45)
    (run / TIMINGS).write_text(json.dumps({"step": 5, "images_per_s": 4.0 * TINY.loop.batch_size}) + "\n")
    touch(run, clock)
    assert glance(run).progress == "step 45 of 60 (75%), 4 steps/s, 4 s left"
    (run / HISTORY).unlink()
    assert glance(run).progress == "step 45, 4 steps/s" and not glance(run).over
    clock.now += STARTING
    assert glance(run).state == "unknown"


def test_it_follows_to_the_end(tmp_path, clock, monkeypatch, capsys):
    write(run := tmp_path / "run", clock, 25)

    def later(seconds):
        assert seconds >= watch.PAUSE
        write(run, clock, 60, end={"state": "finished"})

    monkeypatch.setattr(watch.time, "sleep", later)
    watch.main(run)
    assert capsys.readouterr().out.splitlines() == [
        "step 20: objective 70, loss in training 80",
        "step 40: objective 50, loss in training 60",
        "step 60: objective 80, loss in training 40",
        "step 60 of 60 (100%), 2 steps/s",
        "best checkpoint: objective 50, of step 40",
        "finished",
    ]


def test_in_a_terminal_it_is_a_picture(tmp_path, clock, monkeypatch, capsys):
    write(run := tmp_path / "run", clock, 45, end={"state": "stopped", "why": "signal 2"})
    monkeypatch.setattr(watch, "draws", lambda out: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "20")
    with pytest.raises(SystemExit) as stop:
        watch.main(run, once=True)
    shown = capsys.readouterr().out.splitlines()
    assert stop.value.code == 1 and len(shown) == 20 - 1 and max(map(len, shown)) < 60
    assert shown[0] == f"{run}: tiny book vae"[:59]
    assert shown[1] == "loss as a line, objective of validations as dots"
    assert sum(line.count("●") for line in shown) == 2
    assert shown[-1] == "stopped (signal 2); the same command goes on"


def test_the_runs_of_a_sweep_are_a_line_each(tmp_path, clock, monkeypatch, capsys):
    for name, steps, end in (("seed=0", 45, None), ("seed=1", 10, {"state": "failed", "why": "nan"})):
        write(tmp_path / name, clock, steps, end=end)
    found = [glance(tmp_path / name) for name in ("seed=0", "seed=1")]
    head, one, two = pictures(found, tmp_path)
    assert head == f"2 runs in {tmp_path}, 1 of them training"
    assert one == "seed=0  █▇▆▅▅▄▃▂▁  75%  8 s left  objective 50"
    assert two == "seed=1  █▁         17%  failed                  nan"
    with pytest.raises(SystemExit):
        watch.main(tmp_path, once=True)
    assert f"{tmp_path / 'seed=0'}: step 40: objective 50, loss in training 60" in capsys.readouterr().out
    monkeypatch.setattr(watch, "draws", lambda out: True)
    with pytest.raises(SystemExit):
        watch.main(tmp_path, once=True)
    assert "2 runs in " in capsys.readouterr().out
    empty = tmp_path / "empty"
    empty.mkdir()
    for nothing, said in ((empty, "there is no run in"), (tmp_path / "absent", "there is no folder")):
        with pytest.raises(InputError, match=said):
            watch.main(nothing)


def test_a_model_of_a_sweep_that_is_trained_on_has_not_failed(tmp_path, clock):
    """Whatever the sweep says of it: that it trains once more, and how that ends, is in its own history."""
    write(run := tmp_path / "seed=0", clock, 10, end={"state": "failed", "why": "nan"})
    (tmp_path / SWEEP).write_text(json.dumps([{"name": "seed=0", "failed": "nan"}]))
    assert (glance(run).at.state, glance(run).at.why) == ("failed", "nan")
    write(run, clock, 45)
    assert glance(run).at.state == "training"
    write(run, clock, 60, end={"state": "finished"})
    assert glance(run).at.state == "finished"


def test_times_in_words():
    said = {0.4: "0 s", 61: "1 min 1 s", 3600: "1 h 0 min", 7265: "2 h 1 min", 90_000: "1 d 1 h"}
    assert {seconds: spoken(seconds) for seconds in said} == said
