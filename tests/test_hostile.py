"""Files changed at random, and those made to harm: nothing crashes, hangs, grows or leaves its folder."""

from pathlib import Path

from faults import hostile


def test_readers_give_what_is_right_or_one_line(tmp_path: Path) -> None:
    rows = hostile.run(300, tmp_path)
    assert {row.what.removesuffix(" changed at random") for row in rows} == hostile.READERS.keys()
    assert all(row.times >= 2 for row in rows) and sum(row.times for row in rows) > 250
    assert not [row for row in rows if row.failed], (tmp_path / "failed.jsonl").read_text()


def test_a_reader_that_dies_hangs_or_grows_is_seen(tmp_path: Path) -> None:
    plan = [("identity table", 0), *((name, 0) for name in hostile.BAD), ("identity table", 1)]
    found = hostile.outcomes(plan, tmp_path, seed=0, seconds=3)
    assert [(o.reader, o.index) for o in found] == plan
    assert [o.how == "failed" for o in found] == [False, *[True] * len(hostile.BAD), False]
    said = {o.reader: o.said for o in found}
    assert "SIGSEGV" in said["a crash"] and "SIGALRM" in said["a hang"] and "MemoryError" in said["a bomb"]
    assert "it made ['outside']" in said["an escape"] and "ZeroDivisionError" in said["another error"]
    kept = {path.name for path in tmp_path.iterdir()}
    assert {"a-crash-0", "a-hang-0", "a-bomb-0", "an-escape-0", "another-error-0"} <= kept
