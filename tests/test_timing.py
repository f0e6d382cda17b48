"""Benchmarks' bookkeeping: rows, and their files. No speed is asserted."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import pytest

from benchmarks import limits, timing
from benchmarks.limits import Limits
from benchmarks.timing import Row
from jvae.errors import InputError


def a_row(case: str = "book float32", ours: float | None = 120.0, **fields) -> Row:
    return timing.row("train", case, "images/s", ours, command="python -m benchmarks.bench_train", **fields)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv(timing.COLLECT, raising=False)
    return tmp_path / "results"


def test_rows_come_back_as_they_were(folder):
    rows = [
        a_row(peer_name="PyTorch", peer=100.0, spread=(110.0, 125.0), compile_s=2.5, n=5, target="ratio >= 1.0"),
        a_row("encode", None),
    ]
    timing.write(rows, folder)
    path = folder / f"train-{timing.platform()}.jsonl"
    assert timing.read(path) == rows
    first = json.loads(path.read_text().splitlines()[0])
    assert first["ratio"] == pytest.approx(1.2)
    assert {"jax", "python"} <= set(first["versions"])
    assert set(first) == {field.name for field in dataclasses.fields(Row)}
    assert [p.name for p in folder.iterdir()] == [path.name]  # no temporary file stays


def test_a_rerun_replaces_its_rows(folder):
    timing.write([a_row("a", 1.0), a_row("b", 2.0, peer_name="PyTorch"), a_row("b", 2.0, peer_name="Flax")], folder)
    elsewhere = dataclasses.replace(a_row("b", 9.0), device="another machine")
    timing.write([elsewhere], folder)
    timing.write([a_row("b", 3.0)], folder)
    found = timing.read(folder / f"train-{timing.platform()}.jsonl")
    assert [(r.case, r.ours, r.device == timing.device()) for r in found] == [
        ("a", 1.0, True),
        ("b", 9.0, False),
        ("b", 3.0, True),
    ]


def test_quick_rows_never_replace_full_ones(folder):
    timing.write([a_row()], folder)
    quick = dataclasses.replace(a_row(ours=1.0), command="python -m benchmarks.bench_train --quick")
    timing.write([quick], folder)
    name = f"train-{timing.platform()}.jsonl"
    assert timing.read(folder / name) == [a_row()]
    assert timing.read(folder / "quick" / name) == [quick]


def test_rows_are_collected(folder, tmp_path, monkeypatch):
    monkeypatch.setenv(timing.COLLECT, str(tmp_path / "all.jsonl"))
    timing.write([a_row("a")], folder)
    timing.write([a_row("b")], folder)
    assert [r.case for r in timing.read(tmp_path / "all.jsonl")] == ["a", "b"]


def test_ratio_is_how_many_times_better():
    assert a_row(ours=30.0, peer=10.0).ratio == 3
    assert a_row(ours=10.0, peer=30.0, higher_is_better=False).ratio == 3
    assert a_row(ours=10.0, peer_name="PyTorch").ratio is None


@pytest.mark.parametrize("target", ["fast", "ratio > 1", "speed >= 2", ">= 2"])
def test_a_target_must_be_a_comparison(target):
    with pytest.raises(ValueError, match="is no comparison"):
        a_row(target=target)


def test_a_missing_peer_is_one_line(capsys):
    assert timing.installed("jax")
    assert capsys.readouterr().out == ""
    assert not timing.installed("no_such_package")
    assert capsys.readouterr().out == "no_such_package is not installed: pip install 'jvae[bench]'\n"


def test_in_turn_alternates_and_keeps_the_first_call_apart():
    calls = []

    def fake(name, first, later):
        def run():
            calls.append(name)
            return first if calls.count(name) == 1 else later[calls.count(name) - 2]

        return run

    found = timing.in_turn({"a": fake("a", 10.0, [3.0, 1.0, 2.0]), "b": fake("b", 1.0, [4.0] * 3)}, rounds=3)
    assert calls == ["a", "b", "a", "b", "b", "a", "a", "b"]
    assert found["a"] == timing.Timing(8.0, 2.0, 1.0, 3.0, (3.0, 1.0, 2.0))
    assert found["a"].rates(6) == (3.0, 2.0, 6.0)
    assert found["b"].compile_s == 0.0


def test_measure_times_what_does_not_time_itself():
    done = []
    found = timing.measure(lambda: done.append(None), rounds=4, warm=2)
    assert len(done) == 6 and len(found.times) == 4
    assert 0 <= found.least <= found.median <= found.most


def test_limit_is_the_slower_of_work_and_traffic():
    n = 64
    x = jnp.ones((n, n))
    compiled = jax.jit(lambda x: x @ x).lower(x).compile()
    flops, moved = limits.cost(compiled)
    assert moved >= 2 * x.nbytes
    assert flops in (0, 2 * n**3)  # 0 where the product is a library's
    work = Limits(matmul_float32=1e3, matmul_bfloat16=2e3, copy_bytes=1e12)
    assert limits.limit_seconds(compiled, work, "float32", least_flops=2 * n**3) == pytest.approx(2 * n**3 / 1e3)
    assert limits.limit_seconds(compiled, work, "bfloat16", least_flops=2 * n**3) == pytest.approx(2 * n**3 / 2e3)
    traffic = Limits(matmul_float32=1e12, matmul_bfloat16=1e12, copy_bytes=1e3)
    assert limits.limit_seconds(compiled, traffic, "float32") == pytest.approx(moved / 1e3)


def test_dtype_without_support_is_one_line(monkeypatch):
    limits.check_dtype("float32")

    def refuse(*_):
        raise NotImplementedError("no such kernel\nand a long story")

    monkeypatch.setattr(jnp, "dot", refuse)
    with pytest.raises(InputError, match=r"^bfloat16 is not supported on .*: no such kernel$"):
        limits.check_dtype("bfloat16")
