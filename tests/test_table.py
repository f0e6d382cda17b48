"""Tables of results: what a row says, and that docs/benchmarks.md says what benchmarks/results/ holds."""

import dataclasses

import pytest

from benchmarks import table, timing
from benchmarks.timing import Row


def a_row(case: str = "book float32", ours: float | None = 120.0, **fields) -> Row:
    return timing.row("train", case, "images/s", ours, command="python -m benchmarks.bench_train", **fields)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("ratio >= 1.0", "met"),
        ("ratio >= 2.5", "short by 20 %"),
        ("ours <= 100", "short by 20 %"),
        ("ours <= 120", "met"),
        ("limit_fraction >= 0.4", "not measured"),
        ("ratio >= 1.5, limit_fraction >= 0.4", "met, not measured"),
        ("ratio >= 2.001", "short by 1 %"),
        (None, ""),
    ],
)
def test_verdict(target, said):
    assert table.verdict(a_row(peer_name="PyTorch", peer=60.0, target=target)) == said


def test_table():
    rows = [
        a_row("book float32", peer_name="PyTorch", peer=100.0, spread=(110.0, 125.0), target="ratio >= 1.0"),
        a_row("no peer", peer_name="PyTorch", target="ratio >= 1.0"),
        a_row("short", ours=88.0, peer_name="PyTorch", peer=100.0, target="ratio >= 1.0", limit_fraction=0.417),
    ]
    device, head, met, missing, short = table.text(rows).splitlines()
    assert device.startswith(timing.device())
    assert head.split()[:3] == ["bench", "case", "ours"]
    assert met.endswith("met") and "110 to 125" in met and "1.20" in met
    assert "not installed" in missing and missing.endswith("not measured")
    assert short.endswith("short by 12 %") and "42 %" in short
    assert len({line.index(">=") for line in (met, missing, short)}) == 1


def test_markdown_puts_both_devices_of_a_case_side_by_side():
    target = "ratio >= 1.5, limit_fraction >= 0.4"
    cpu = a_row(peer_name="PyTorch", peer=100.0, target=target, limit_fraction=0.417, spread=(110.0, 130.0), n=5)
    gpu = dataclasses.replace(a_row(ours=9000.0, peer_name="PyTorch", peer=3000.0, target=target), device="Y")
    alone = a_row("alone", 9.0, target="ours <= 8")
    rows = [dataclasses.replace(r, device="2 cores of X", git="abc") for r in (cpu, alone)] + [gpu]
    lines = table.markdown(rows).splitlines()
    assert lines[0] == "**train**"
    assert lines[2].startswith("- 2 cores of X, jax ")
    assert lines[2].endswith("commit abc: `python -m benchmarks.bench_train`") and lines[3].startswith("- Y, jax ")
    assert lines[7] == (
        "| book float32 | 120 images/s (110 to 130) | **1.2 ×** as good as PyTorch: 100; 42 % of the limit; "
        "target 1.5 ×, 40 % of the limit: short by 20 %, met | 9,000 images/s | **3 ×** as good as PyTorch: 3,000; "
        "target 1.5 ×, 40 % of the limit: met, not measured |"
    )
    assert lines[5:7] == ["| case | CPU | | GPU | |", "|---|---|---|---|---|"]
    assert lines[8] == "| alone | 9 images/s | target at most 8 images/s: short by 12 % | | |"


def test_markdown_leaves_out_what_has_no_figure():
    rows = [a_row("measured", 9.0), a_row("nothing", None), a_row("no peer", 8.0, peer_name="PyTorch")]
    on_cpu = [dataclasses.replace(r, device="2 cores of X") for r in rows]
    lines = table.markdown(on_cpu).splitlines()
    assert lines[4:] == [
        "| case | CPU | |",
        "|---|---|---|",
        "| measured | 9 images/s | |",
        "| no peer | 8 images/s | |",
    ]
    on_both = [*on_cpu, dataclasses.replace(rows[1], device="Y")]
    assert table.markdown(on_both) == table.markdown(on_cpu)
    assert table.markdown([dataclasses.replace(rows[0], device="Y")]).splitlines()[4] == "| case | GPU | |"
    assert table.markdown(rows[1:2]) == ""


def test_what_was_not_reached_is_said():
    ours, theirs = a_row("a", None, peer_name="PyTorch", peer=3.0), a_row("b", 2.0, peer_name="PyTorch (not reached)")
    lines = table.markdown([dataclasses.replace(r, device="2 cores of X") for r in (ours, theirs)]).splitlines()[-2:]
    assert lines == ["| a | not reached | |", "| b | 2 images/s | PyTorch (not reached) |"]
    assert "not installed" not in table.text([theirs])


def test_the_document_says_what_the_results_hold():
    assert table.renewed() == table.DOCUMENT.read_text(encoding="utf-8")  # else: python -m benchmarks.table
