import logging
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import pytest

from jvae import cli
from jvae.errors import InputError, InputWarning

ROOT = Path(__file__).parent.parent
TRACEBACKS = "jax_traceback_filtering"


def script(count: int = 3, *, out: Path = Path("runs/demo")) -> None:
    """Draws faces.

    Args:
      count: how many.
      out: where to.
    """
    print(f"{count} faces to {out}")


def run(main, *args: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit status of a script whose `main` and command line these are."""
    monkeypatch.setattr(sys, "argv", ["script.py", *args])
    try:
        cli.run(main)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def failing(error: BaseException):
    def main(count: int = 3) -> None:
        raise error

    return main


def test_flags_come_from_the_signature(monkeypatch, capsys):
    assert run(script, "--count", "5", "--out", "x", monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out == "5 faces to x\n"


def test_defaults(monkeypatch, capsys):
    assert run(script, monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out == f"3 faces to {Path('runs/demo')}\n"


def test_help_shows_the_docstring(monkeypatch, capsys):
    assert run(script, "--help", monkeypatch=monkeypatch) == 0
    shown = capsys.readouterr().out
    assert "Draws faces." in shown
    assert "how many." in shown


@pytest.mark.parametrize("args", [["--cuont", "5"], ["--count", "many"], ["stray"]])
def test_a_flag_that_is_wrong_exits_2(args, monkeypatch, capsys):
    assert run(script, *args, monkeypatch=monkeypatch) == 2
    shown = capsys.readouterr()
    assert shown.err and "Traceback" not in shown.err
    assert not shown.out


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("unknown preset 'bok': did you mean book?"), "error: unknown preset 'bok': did you mean book?\n"),
        (FileNotFoundError(2, "No such file", "x.zip"), "error: [Errno 2] No such file: 'x.zip'\n"),
        (OSError(28, "No space left on device"), "error: [Errno 28] No space left on device\n"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(error, line, monkeypatch, capsys):
    assert run(failing(error), monkeypatch=monkeypatch) == 2
    shown = capsys.readouterr()
    assert shown.err == line
    assert not shown.out


def test_an_interrupt_exits_130(monkeypatch, capsys):
    assert run(failing(KeyboardInterrupt()), monkeypatch=monkeypatch) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("error", [ValueError("shapes"), KeyError("z"), AssertionError("never"), RuntimeError("xla")])
def test_a_bug_keeps_its_traceback(error, monkeypatch):
    with pytest.raises(type(error)) as raised:
        run(failing(error), monkeypatch=monkeypatch)
    assert raised.value is error and "Please report the lines above" in error.__notes__[0]


@pytest.mark.parametrize(
    ("error", "code", "traceback"),
    [("InputError('no faces in data/x')", 2, False), ("OSError(28, 'full')", 2, False), ("ValueError('bug')", 1, True)],
)
def test_in_a_process_of_its_own(tmp_path, error, code, traceback):
    path = tmp_path / "script.py"
    path.write_text(
        "from jvae import cli\n"
        "from jvae.errors import InputError, InputWarning\n"
        "def main(count: int = 3) -> None:\n"
        "    try:\n"
        "        {}['missing']\n"
        "    except KeyError:\n"
        f"        raise {error}\n"  # even when another error led to it
        "cli.run(main)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import runpy; runpy.run_path({str(path)!r}, run_name='__main__')"],
        cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode == code
    assert ("Traceback" in done.stderr) == traceback
    assert traceback or done.stderr.count("\n") == 1
    assert not done.stdout


def test_debug_tells_all(monkeypatch, capsys):
    def main(count: int = 3) -> None:
        raise InputError(f"count={count}: too few")

    before = logging.getLogger("absl").level
    monkeypatch.setenv("JAX_TRACEBACK_FILTERING", "auto")
    filtering = getattr(jax.config, TRACEBACKS)
    try:
        assert run(main, "--debug", "--count", "2", monkeypatch=monkeypatch) == 2
        shown = capsys.readouterr().err
        assert "Traceback" in shown and shown.endswith("error: count=2: too few\n")
        assert logging.getLogger("absl").level == logging.INFO and getattr(jax.config, TRACEBACKS) == "off"
    finally:
        logging.getLogger("absl").setLevel(before)
        jax.config.update(TRACEBACKS, filtering)
    assert run(main, "--count", "2", monkeypatch=monkeypatch) == 2
    assert capsys.readouterr().err == "error: count=2: too few\n"


def test_a_warning_of_ours_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)

    def main() -> None:
        warnings.warn("the vectors are old", InputWarning, stacklevel=1)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert run(main, monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().err == "warning: the vectors are old\n"
