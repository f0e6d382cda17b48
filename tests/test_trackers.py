"""Where curves go beside TensorBoard: what a tracker is given, by a run that stops and goes on; Trackio itself."""

import builtins
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jvae.cli.main import find_command
from jvae.cli.run import call
from jvae.errors import InputError
from jvae.training.log import read_metrics
from jvae.training.loop import train
from jvae.training.trackers import TRACKERS
from tests.faces import small_store
from tests.runs import ONE, TINY, stop_after

ROOT = Path(__file__).parent.parent
BEGUN = []
TWO_CALLS = """
import sys
from pathlib import Path
from jvae.training.log import Log
from jvae.training.trackers.trackio import begin

run = Path(sys.argv[1])
for start, steps in (0, (3, 6)), (6, (9,)):
    tracker = begin(run, "one", {"model": {"name": "book"}})
    with Log(run, start, tracker) as log:
        for step in steps:
            log.write(step, "train", {"loss": 1 / step})
    tracker.finish()
"""


class Kept:
    def __init__(self, run, name, config):
        self.run, self.name, self.config, self.rows, self.finished = run, name, config, [], 0
        BEGUN.append(self)

    def log(self, values, /, step):
        assert not self.finished
        self.rows.append((step, values))

    def finish(self):
        self.finished += 1


def test_a_tracker_is_given_every_number_and_one_name(tmp_path, monkeypatch):
    monkeypatch.setitem(TRACKERS, "kept", f"{__name__}:Kept")
    BEGUN.clear()
    run = tmp_path / "odd #name"
    for stopped in (stop_after(2), lambda: None):
        train(TINY, small_store(), run, mesh=ONE, progress=False, track="kept", stopped=stopped)
    first, second = BEGUN
    assert first.name == second.name and re.fullmatch(r"odd--name-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d", first.name)
    assert first.run == run and first.config["model"]["name"] == "book" and first.config["loop"]["batch_size"] == 8
    assert (first.finished, second.finished) == (1, 1)
    rows, found = first.rows + second.rows, read_metrics(run)
    assert [step for step, _ in rows] == sorted(step for step, _ in rows) and rows[-1][0] == 17
    for row in found:
        wanted = {f"{row['split']}/{name}": value for name, value in row.items() if name not in ("step", "split")}
        assert (row["step"], wanted) in rows
    assert sum("train/images_per_s" in data for _, data in rows) == sum(row["split"] == "train" for row in found)


def test_what_is_no_tracker_is_refused_before_there_is_a_run(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="unknown tracker 'mlflow': there are: none, trackio, wandb"):
        train(TINY, small_store(), tmp_path / "run", mesh=ONE, track="mlflow")

    def without(name, *rest, **kwargs):
        if name in ("trackio", "wandb"):
            raise ModuleNotFoundError(name=name)
        return importing(name, *rest, **kwargs)

    importing = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", without)
    for name, how in (("trackio", r"pip install 'jvae\[track\]'"), ("wandb", "pip install wandb")):
        monkeypatch.delitem(sys.modules, f"jvae.training.trackers.{name}", raising=False)
        with pytest.raises(InputError, match=f"--track {name} needs the package {name}, .*: {how}"):
            train(TINY, small_store(), tmp_path / "run", mesh=ONE, track=name)
    assert not (tmp_path / "run").exists()


def test_the_flag(tmp_path):
    function, left = find_command("train", ["demo", "--data", str(small_store().path), "--out", str(tmp_path / "run")])
    with pytest.raises(InputError, match="unknown tracker 'tracio': did you mean trackio"):
        call(function, [*left, "--track", "tracio"])


@pytest.mark.skipif(importlib.util.find_spec("trackio") is None, reason="needs pip install 'jvae[track]'")
def test_trackio_keeps_the_curve_of_two_calls_as_one(tmp_path):
    environment = os.environ | {"TRACKIO_DIR": str(tmp_path / "trackio"), "HF_HUB_OFFLINE": "1"}
    ask = ["get", "metric", "--project", "jvae", "--run", "one", "--metric", "train/loss", "--json"]
    for command in ([sys.executable, "-c", TWO_CALLS, tmp_path], [Path(sys.executable).with_name("trackio"), *ask]):
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    values = [(value["step"], value["value"]) for value in json.loads(done.stdout)["values"]]
    assert values == [(3, 1 / 3), (6, 1 / 6), (9, 1 / 9)]
