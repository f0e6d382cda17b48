"""What `make faults` does at length, a little of it."""

import json
from pathlib import Path

import pytest

from faults import child, damage, environment
from faults.__main__ import DOCUMENT, RESULTS, renewed
from jvae.cli.check import main as check
from jvae.errors import InputError


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("damage") / "here"
    return folder, damage.run(6, folder)


def test_child_processes_find_the_package():
    assert (child.ROOT / "jvae" / "__main__.py").is_file()


def test_damage_is_found_or_without_effect(damaged):
    folder, rows = damaged
    assert len(rows) == len(damage.KINDS) and all(row.times == 6 for row in rows)
    assert not [row for row in rows if row.failed]
    assert [path.name for path in folder.iterdir()] == ["whole"]


def test_a_variable_of_a_shell_changes_nothing(tmp_path: Path):
    few = child.PACK._replace(words=f"pack rendered --count 20 --size 16 --out {child.FACES}")
    (row,) = environment.run(1, tmp_path, (few,), only="LC_ALL")
    assert row.times == 1 and not row.failed, list(tmp_path.glob("*/wrong.txt"))
    assert len({(v.name, value) for v in environment.VARIABLES for value in v.values}) > 70


def test_check_says_what_is_whole_and_what_is_not(damaged, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    whole = damaged[0] / "whole"
    for name, lines in (("store", 3), ("run", 4), ("vectors.npz", 1), ("judge.npz", 1)):
        if name == "run":
            (whole / "run" / "metrics.jsonl").write_text('{"step": 2}\n')
        check(whole / name)
        shown = capsys.readouterr().out.splitlines()
        assert len(shown) == lines and all(line.endswith(": whole") for line in shown)
    harmed = {
        "store/images.npy": "images of rows 0 to 119 are not those",
        "store/labels.csv": "labels.csv is damaged",
        "run/metrics.jsonl": "damaged in line 1",
        "run/checkpoints/2/record/metadata": "checkpoints/2: ",
        "vectors.npz": "has changed",
        "judge.npz": "has changed",
    }
    for name, message in harmed.items():
        path, data = whole / name, (whole / name).read_bytes()
        at = 5 * len(data) // 8  # in an array, and not in a header between two of them
        path.write_bytes(data[:at] + b"\xff\xfe" + data[at + 2 :])
        with pytest.raises(SystemExit) as ended:
            check(whole / Path(name).parts[0])
        assert ended.value.code == 1
        shown = capsys.readouterr().out.splitlines()
        assert message in "\n".join(shown) and shown[-1] == "1 damaged"
        path.write_bytes(data)
    with pytest.raises(InputError, match="is no store, run directory, or"):
        check(tmp_path)


def test_the_document_has_the_tables_of_the_results():
    assert renewed() == DOCUMENT.read_text(encoding="utf-8")
    for path in RESULTS.glob("*.json"):
        found = json.loads(path.read_text())
        assert found["rows"] and not [row for row in found["rows"] if row["failed"]]
        assert f"`python -m faults --only {path.stem}`" in renewed()
