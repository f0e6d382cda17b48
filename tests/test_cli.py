import logging
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import pytest

from jvae.cli import main as commands
from jvae.cli import run as command_line
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
        command_line.run(main)
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
        "from jvae.cli.run import run\n"
        "from jvae.errors import InputError, InputWarning\n"
        "def main(count: int = 3) -> None:\n"
        "    try:\n"
        "        {}['missing']\n"
        "    except KeyError:\n"
        f"        raise {error}\n"  # even when another error led to it
        "run(main)\n"
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


def jvae(*words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit status of the command `jvae` with these words."""
    monkeypatch.setattr(sys, "argv", ["jvae", *words])
    try:
        commands.main()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def test_the_overview_names_every_command_and_imports_next_to_nothing():
    code = (
        "import sys\n"
        "sys.argv = ['jvae', '--help']\n"
        "from jvae.cli.main import main\n"
        "main()\n"
        "print(*{'jax', 'numpy', 'tyro', 'flax'} & set(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not done.stderr.strip()
    assert all(f"  {name} " in done.stdout for name in commands.COMMANDS)
    assert all(f"{title}:" in done.stdout for title in commands.GROUPS)


def test_the_overview_is_there_without_a_word(monkeypatch, capsys):
    for words in ((), ("-h",)):
        assert jvae(*words, monkeypatch=monkeypatch) == 0
        assert capsys.readouterr().out == commands.overview() + "\n"


def test_every_command_is_a_module_and_every_module_a_command():
    others = {"__init__", "main", "run", "annotated", "flags", "settings"}
    modules = {path.stem for path in (ROOT / "jvae" / "cli").glob("*.py")} - others
    assert modules == {name.replace("-", "_") for name in commands.COMMANDS}


@pytest.mark.parametrize("command", commands.COMMANDS)
def test_the_help_of_every_command(command, monkeypatch, capsys):
    assert jvae(command, "--help", monkeypatch=monkeypatch) == 0
    shown = capsys.readouterr().out
    own = re.split(" (?:processes|loop) options", shown)[0]  # without the fields of dataclasses that are no flag groups
    assert shown.startswith(f"usage: jvae {command}") and "(default: None)" not in own
    assert not {"experiments/", "jvae.cli."} & set(shown.split())


def test_what_is_no_command_is_one_line(monkeypatch, capsys):
    assert jvae("morf", monkeypatch=monkeypatch) == 2
    assert capsys.readouterr().err == "error: unknown command 'morf': did you mean morph?\n"
    assert jvae("pack", monkeypatch=monkeypatch) == 2
    assert "name what to pack: jvae pack rendered" in capsys.readouterr().err
    assert jvae("train", "--data", "x", monkeypatch=monkeypatch) == 2
    assert "name a preset first: book" in capsys.readouterr().err


def test_a_command_from_another_directory(tmp_path):
    command = [sys.executable, "-m", "jvae", "check", "none"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("error: none is no store")


@pytest.mark.parametrize(
    ("variable", "value"),
    [("JAX_DEFAULT_MATMUL_PRECISION", "nonsense"), ("JAX_PLATFORMS", "cuda"), ("JAX_PLATFORMS", "x")],
)
def test_what_jax_refuses_of_its_variables_is_one_line(tmp_path, variable, value):
    code = "from jvae.cli.run import plainly\nwith plainly([]):\n  import jax\n  jax.numpy.arange(3)"
    command = [sys.executable, "-c", code]
    environment = os.environ | {"PYTHONPATH": str(ROOT), variable: value}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith(("error", "Traceback"))]
    assert done.returncode == 2 and line.startswith(f"error: JAX does not run with {variable}={value} (")


def test_a_number_that_jax_was_told_to_stop_at_is_one_line(monkeypatch, capsys):
    nan = FloatingPointError("invalid value (nan) encountered in jit(f)")
    monkeypatch.setenv("JAX_DEBUG_NANS", "1")
    assert run(failing(nan), monkeypatch=monkeypatch) == 2
    assert capsys.readouterr().err.startswith("error: JAX stopped, as JAX_DEBUG_NANS=1 has it (invalid value (nan)")
    monkeypatch.setenv("JAX_TRANSFER_GUARD", "disallow")
    assert run(failing(RuntimeError("Disallowed host-to-device transfer")), monkeypatch=monkeypatch) == 2
    monkeypatch.delenv("JAX_DEBUG_NANS")
    with pytest.raises(FloatingPointError):
        run(failing(nan), monkeypatch=monkeypatch)


def test_a_warning_that_python_was_told_to_raise_is_one_line(monkeypatch, capsys):
    assert run(failing(InputWarning("the warm-up is long")), monkeypatch=monkeypatch) == 2  # PYTHONWARNINGS=error
    assert capsys.readouterr().err == "error: the warm-up is long\n"


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_tab_completes_commands_and_flags(monkeypatch, capsys, tmp_path):
    assert jvae("completion", "bash", monkeypatch=monkeypatch) == 0
    path = tmp_path / "completion.bash"
    path.write_text(capsys.readouterr().out)

    def tab(*words: str) -> list[str]:
        given = " ".join(f"'{word}'" for word in words)
        code = f"source {path}; COMP_WORDS=({given}); COMP_CWORD={len(words) - 1}; _jvae; echo ${{COMPREPLY[*]}}"
        done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert tab("jvae", "mo") == ["morph"]
    assert tab("jvae", "") == list(commands.COMMANDS)
    assert tab("jvae", "morph", "--mo") == ["--movie"]
    assert tab("jvae", "morph", "--start", "a", "--tr") == ["--trajectory"]
    assert tab("jvae", "pack", "ren") == ["rendered"]
    assert "--count" in tab("jvae", "pack", "rendered", "--")
    assert tab("jvae", "morph", "--start", "rend") == []  # a file's name, which bash completes itself
    assert jvae("completion", "zsh", monkeypatch=monkeypatch) == 0
    assert "bashcompinit" in capsys.readouterr().out
