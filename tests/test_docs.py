"""README and docs: their links lead somewhere, pictures are shown once, and their commands are commands there are."""

import functools
import re
import shlex
from pathlib import Path

import pytest

from jvae.cli.main import COMMANDS, find_command
from jvae.cli.run import DEBUG, call, flags_of
from jvae.cli.settings import DOORS
from jvae.data.sources import SOURCES
from jvae.models.registry import MODELS
from jvae.training.presets import PRESETS
from jvae.training.tasks import TASKS
from jvae.training.trackers import TRACKERS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PICTURE = re.compile(r"!\[[^\]]+\]\(([^)]+)\)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"```console\n(.*?)```", re.DOTALL)
COMMAND_PAGES = [page for page in PAGES if page.name != "extending.md"]  # whose commands name what is not there yet
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
each_command_page = pytest.mark.parametrize("page", COMMAND_PAGES, ids=lambda page: page.name)


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def whole_commands(page: Path) -> list[str]:
    """The lines of console blocks that call jvae, continued lines joined, without what a shell makes of them."""
    blocks = "".join(FENCE.findall(page.read_text(encoding="utf-8"))).replace("\\\n", "")
    lines = [line.partition(" #")[0].rstrip(" &") for line in blocks.splitlines()]
    return [line.strip().replace("$i", "1") for line in lines if line.strip().startswith("jvae ")]


def mentioned_commands(page: Path) -> list[str]:
    """What stands in backquotes and begins with jvae, outside of blocks: parts of commands, some with PLACEHOLDERS."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [code for code in re.findall(r"`(jvae [^`]+)`", text) if not code.startswith("jvae --")]


def parsed(line: str) -> tuple:
    """The function of a command line, the words left for it, and its flags."""
    _, name, *words = shlex.split(line)
    assert name in COMMANDS, f"{line}: there is no command {name}"
    function, left = find_command(name, words)
    return function, left, {*flags_of(function), *(f"--{door}" for door in DOORS), DEBUG, "--help"}


def test_the_readme_is_short():
    assert len(PAGES[0].read_text(encoding="utf-8").splitlines()) < 130


@each_page
def test_links_lead_somewhere(page: Path):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if not link.startswith("https://"):
            path, _, anchor = link.partition("#")
            there = page.parent / path if path else page
            assert there.exists(), f"{page.name} links to {link}"
            assert not anchor or anchor in anchors(there), f"{page.name} links to {link}, and no heading is called so"


def test_every_picture_is_on_one_page():
    shown = [(page.parent / link).resolve() for page in PAGES for link in PICTURE.findall(page.read_text("utf-8"))]
    assert sorted(shown) == sorted(path.resolve() for path in (ROOT / "docs").rglob("*.png"))


@each_command_page
def test_commands_parse(page: Path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for line in whole_commands(page):
        function, left, _ = parsed(line)

        @functools.wraps(function)
        def nothing(*args, **flags):
            pass

        try:
            call(nothing, left)
        except SystemExit:
            pytest.fail(f"{page.name}: {line}")


@each_command_page
def test_flags_that_are_mentioned_are_there(page: Path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for line in mentioned_commands(page):
        words = shlex.split(line)
        if [word for word in words[2:] if word.startswith("--")]:
            _, left, known = parsed(line)
            assert {word.partition("=")[0] for word in left if word.startswith("--")} <= known, f"{page.name}: {line}"
        else:
            assert words[1] in COMMANDS, f"{page.name}: {line}"


def test_whatever_has_a_name_is_described():
    names = {*COMMANDS, *PRESETS, *MODELS, *TASKS, *SOURCES, *TRACKERS}
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert not {name for name in names if not re.search(rf"`(jvae |jvae pack )?{name}`|jvae pack {name} ", text)}


@each_page
def test_scripts_are_there(page: Path):
    for script in re.findall(r"python (\w+/\w+\.py)", page.read_text(encoding="utf-8")):
        assert (ROOT / script).is_file(), f"{page.name} calls {script}"
    for module in re.findall(r"python -m ((?:benchmarks|faults|experiments)[\w.]*)", page.read_text(encoding="utf-8")):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), f"{page.name} calls {module}"
