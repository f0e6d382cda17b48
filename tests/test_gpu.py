"""The benchmarks of a GPU, as far as they can be tried without one. No speed is asserted."""

import dataclasses
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import jax
import numpy as np
import pytest

from benchmarks import gpu, gpu_rows, gpu_subjects, table, timing
from benchmarks.gpu import Late, Worker
from benchmarks.peers.common import Common
from benchmarks.timing import Row
from jvae.data.feed import Chunk
from jvae.errors import InputError
from jvae.runtime.hashing import random_key
from jvae.training.presets import preset
from jvae.training.run import Record
from jvae.training.state import state_shapes
from jvae.training.step import train_chunk
from jvae.training.task import Hyper
from tests.runs import ONE

ROOT = Path(__file__).parents[1]
HIDDEN = ("tyro", "tensorflow_datasets", "tensorflow", "array_record", "grain", "cv2", "sklearn", "matplotlib")
HIDDEN += ("simplejpeg", "tqdm", "tensorboardX", "av", "safetensors", "gcsfs")
HOOK = f"""
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HIDDEN!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
"""
SMALLEST = ["--gpu", "--platform", "cpu", "--smallest"]


def a_row(case: str = "train book 128x128 b128 float32", ours: float | None = 1000.0, **fields) -> Row:
    return Row(bench="gpu", case=case, device="X", unit="images/s", ours=ours, spread=(900.0, 1100.0), **fields)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The file that the whole command wrote in its smallest shape, by a Python that lacks HIDDEN, and what it said."""
    folder = tmp_path_factory.mktemp("gpu")
    (folder / "sitecustomize.py").write_text(HOOK)
    command = [sys.executable, "-m", "benchmarks", *SMALLEST, "--rows", str(folder / "gpu.jsonl")]
    fast = f"{os.environ['XLA_FLAGS']} --xla_backend_optimization_level=0"  # to compile
    env = os.environ | {"PYTHONPATH": str(folder), "XLA_FLAGS": fast}
    hidden = subprocess.run([sys.executable, "-c", "import tqdm"], env=env, capture_output=True)
    assert hidden.returncode
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "gpu.jsonl", done.stdout


def test_every_row_is_measured_with_few_packages(whole):
    path, said = whole
    rows = timing.read(path)
    cases = [subject.case for subject in gpu_subjects.subjects(smallest=True)]
    assert [r.case if "projection" not in r.case else "" for r in rows] == cases
    assert {subject.kind for subject in gpu_subjects.subjects(False)} == {
        subject.kind for subject in gpu_subjects.subjects(True)
    }
    assert all(r.ours is not None and r.ours > 0 and r.bench == "gpu" and r.device for r in rows)
    assert all({"jax", "python"} <= set(r.versions) and r.git == gpu.commit() for r in rows)
    assert all(f"benchmarks {' '.join(SMALLEST)}" in r.command for r in rows)
    assert said.splitlines()[-1] == f"{path}: all rows are there"
    beside = [r for r in rows if r.peer_name == "PyTorch" and "projection" not in r.case]
    assert len(beside) == 3 and all(r.limit_fraction for r in beside)
    if importlib.util.find_spec("torch") is None:
        assert {r.error for r in beside} == {"PyTorch is not installed"}
    assert all(r.peer and r.ratio for r in rows if r.peer_name and r.peer_name != "PyTorch")


def test_a_second_call_goes_on_where_the_first_ended(whole, tmp_path, capsys, monkeypatch):
    path, _ = whole
    lines = path.read_text().splitlines(keepends=True)
    monkeypatch.setattr(gpu, "START", [sys.executable, "-c", "raise SystemExit('nothing is left to measure')"])
    again = tmp_path / "gpu.jsonl"
    again.write_text("".join(lines))
    gpu.main([*SMALLEST, "--rows", str(again)])
    assert again.read_text() == "".join(lines)
    again.write_text("".join(lines[:-1]) + lines[-1][:40])  # a kill cut the last row
    monkeypatch.setattr(gpu, "START", answering(json.loads(lines[-1])))
    gpu.main([*SMALLEST, "--rows", str(again), "--minutes", "2"])
    assert [Row.from_json(line).case for line in again.read_text().splitlines()] == [
        Row.from_json(line).case for line in lines
    ]
    capsys.readouterr()
    gpu.main([*SMALLEST, "--rows", str(again), "--minutes", "0", "--commit", "another"])  # whose rows are not there
    assert again.read_text().count("\n") == len(lines)
    assert capsys.readouterr().out.endswith(f"{len(lines) - 1} rows are left, for the same command to go on with\n")


def test_no_time_begins_nothing(tmp_path, capsys):
    gpu.main([*SMALLEST, "--rows", str(tmp_path / "none" / "gpu.jsonl"), "--minutes", "0"])
    assert not (tmp_path / "none").exists()
    assert "rows are left" in capsys.readouterr().out


def test_bad_input_is_one_line(monkeypatch):
    monkeypatch.setattr(gpu, "card", dict)
    with pytest.raises(InputError, match="nvidia-smi finds no GPU: give --platform cpu --smallest"):
        gpu.main(["--gpu"])
    with pytest.raises(InputError, match="minutes=-1"):
        gpu.main([*SMALLEST, "--minutes", "-1"])


def answering(row: dict) -> list[str]:
    """A command that answers whatever it is asked with `row`."""
    code = f"import sys\nfor line in sys.stdin: print({json.dumps(row)!r}, flush=True)"
    return [sys.executable, "-S", "-c", code]


def test_a_process_that_hangs_or_ends_costs_its_row_alone():
    code = """
import json, os, subprocess, sys, time
for line in sys.stdin:
    case = json.loads(line)["case"]
    if case == "hang":
        subprocess.Popen(["sleep", "60"]); time.sleep(60)
    if case == "end":
        os._exit(3)
    ours = None if case == "fail" else os.getpid()
    print(json.dumps({"bench": "gpu", "case": case, "device": "X", "unit": "", "ours": ours}), flush=True)
"""
    worker = Worker([sys.executable, "-S", "-c", code], dict(os.environ))
    try:
        first, second = (worker.ask({"case": "fine"}, 30).ours for _ in range(2))
        assert first == second and first is not None
        began = time.monotonic()
        with pytest.raises(Late):
            worker.ask({"case": "hang"}, 0.2)
        assert time.monotonic() - began < 20  # what it started is ended too, or its output would not be at an end
        third = worker.ask({"case": "fine"}, 30).ours
        assert worker.ask({"case": "end"}, 30).error == "the process ended with status 3"
        assert worker.ask({"case": "fail"}, 30).ours is None
        assert len({first, third, worker.ask({"case": "fine"}, 30).ours}) == 3  # a failure begins a new process
    finally:
        worker.end()


def test_a_row_that_fails_is_a_row_and_is_tried_again_last(tmp_path, monkeypatch):
    some = [gpu_subjects.Subject(case, "train", 1) for case in ("a", "b", "c")]
    monkeypatch.setattr(gpu, "subjects", lambda smallest: some)
    asked = []

    class Failing:
        def ask(self, spec, seconds):
            asked.append(spec["case"])
            if spec["case"] == "b":
                raise Late
            return gpu.failed(spec["case"], "RESOURCE_EXHAUSTED") if spec["case"] == "a" else a_row(spec["case"])

    def fill(minutes=60.0):
        path, deadline = tmp_path / "gpu.jsonl", time.monotonic() + 60 * minutes
        left = gpu.fill(path, Failing(), deadline=deadline, smallest=True, git="abc", facts={})  # pyright: ignore
        return left, [(r.case, r.error) for r in timing.read(path)]

    left, found = fill(0.5)  # less than a row is waited for: what was not done in it has not failed
    assert (left, found) == (1, [("a", "RESOURCE_EXHAUSTED"), ("c", None)])
    left, found = fill()
    assert left == 0 and found[2] == ("b", "not done after 64 s") and asked[3:] == ["b", "a"]
    assert table.markdown(timing.read(tmp_path / "gpu.jsonl")).count("\n| ") == 2  # the head, and the one figure


def test_what_is_most_important_comes_first():
    cases = [subject.case for subject in gpu_subjects.subjects(smallest=False)]
    assert len(set(cases)) == len(cases)
    trained = [case.split() for case in cases if re.match(r"train \w+ \d+x\d+ ", case)]
    assert [batch for _, _, _, batch, _ in trained] == ["b128"] * 6 + ["b1024"] * 6 + ["b32"] * 6 + ["b4096"] * 6
    assert [model for _, model, *_ in trained[:6:2]] == ["book", "celeba64", "residual64"]
    for subject in gpu_subjects.subjects(smallest=False):
        if "preset" in subject.spec:
            cfg = gpu_rows.config(subject.spec | {"smallest": False})
            assert Common.of(cfg).blocks == ((1, 1) if cfg.preset == "residual64" else ())
    kinds = [subject.kind for subject in gpu_subjects.subjects(smallest=False)]
    order = ["limit", "train", "encode", "grid", "models", "statistics", "projection", "changed"]
    assert list(dict.fromkeys(kinds)) == order


def test_the_projection_is_arithmetic_of_the_fastest_row():
    rows = [a_row(), a_row("train book 128x128 b1024 bfloat16", 2000.0, peer=1000.0, ratio=2.0), a_row("other", 9e9)]
    found = gpu_subjects.projection(rows)
    assert found is not None and found.case.startswith("projection, not measured: 200 epochs of 162,770 images")
    assert found.case.endswith("b1024 bfloat16")
    assert (found.ours, found.peer, found.ratio) == pytest.approx((16_277, 32_554, 2))
    assert gpu_subjects.projection(rows[2:]) is None


def test_what_the_card_says_is_in_its_row(tmp_path, monkeypatch):
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 'NVIDIA X, 580.1, 1980 MHz, 2619 MHz, 700.00 W, 71.53 W, 81559 MiB, 30'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = gpu.card()
    assert (found["name"], found["clocks.sm"], found["temperature.gpu"]) == ("NVIDIA X", "1980 MHz", "30")
    smi.unlink()
    assert gpu.card() == {}
    assert Row.from_json(dataclasses.replace(a_row(), card=found).to_json()).card == found


def test_a_flag_is_tried_where_this_jaxlib_knows_it_and_has_another_value():
    words = ["--xla_no_such=1", "--xla_gpu_ftz=true", "--xla_gpu_autotune_level=4"]
    assert gpu_subjects.idle(words) == {"--xla_no_such=1", "--xla_gpu_autotune_level=4"}
    if version("jaxlib").startswith("0.10."):
        assert gpu_subjects.idle_flags() == set()


CONVOLUTION = re.compile(
    r"stablehlo\.convolution.*dim_numbers = (\[.*?\])x.*: \(tensor<(?:\d+x)+(\w+)>, tensor<(?:\d+x)+(\w+)>\)"
)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("name", "small"),
    [("book", {"widths": (8, 8)}), ("residual64", {"widths": (8, 16), "blocks": (1, 1)})],
    ids=["book", "residual64"],
)
def test_the_train_chunk_for_cuda(name, small, dtype):
    cfg = preset(name).replace(image_size=16, latent_dim=4, batch_size=4, dtype=dtype, **small)
    task, hyper = Record(cfg).task(ONE), Hyper.of(cfg.optimizer, 10)
    chunk = Chunk(jax.ShapeDtypeStruct((8, 16, 16, 3), np.uint8), None, jax.ShapeDtypeStruct((2, 4), np.int32))
    key = jax.eval_shape(lambda: random_key(0))
    args = (state_shapes(task, hyper, ONE), chunk, jax.ShapeDtypeStruct((), np.int32), key, task, hyper)
    text = jax.export.export(train_chunk, platforms=["cuda"])(*args, mesh=ONE).mlir_module()
    assert "f64" not in text
    found = [CONVOLUTION.search(line) for line in text.splitlines() if "stablehlo.convolution" in line]
    assert len(found) > 9 and all(found)  # on a CPU, those of stride 2 are products
    short = {"float32": "f32", "bfloat16": "bf16"}[dtype]
    assert {match[i] for match in found if match for i in (2, 3)} == {short}
    # images as they lie, channels last; a kernel's gradient takes the images for the channels, where they lie
    assert {match[1] for match in found if match} == {"[b, 0, 1, f]", "[f, 0, 1, b]"}
    assert not re.search(
        r"stablehlo\.transpose .*dims = \[(0, 3, 1, 2|0, 2, 3, 1|3, 0, 1, 2)\] : \(tensor<4x\d+x", text
    )
