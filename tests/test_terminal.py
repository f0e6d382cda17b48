"""Charts made of letters: where the dots are, and what a terminal is sent."""

import io
import itertools
import math

import pytest

from jvae.render.terminal import BRAILLE, MARK, Screen, bars, chart, draws


def dots(line: str) -> int:
    return sum(bin(ord(letter) - BRAILLE).count("1") for letter in line if BRAILLE < ord(letter) < BRAILLE + 256)


def test_a_line_falls_from_one_corner_to_the_other():
    lines = chart((range(101), [100 - i for i in range(101)]), ((50,), (10.0,)), width=30, height=6)
    assert len(lines) == 6 and max(map(len, lines)) <= 30
    *rows, axis = lines
    assert rows[0].split("│")[0].strip() == "90" and rows[-1].split("│")[0].strip() == "0"  # from the tenth step on
    assert axis.split() == ["0", "100"] and len(axis) == 30
    where = [[i for i, letter in enumerate(row) if dots(letter)] for row in rows]
    assert where[-1][-1] == 29 and all(a[0] <= b[0] and a[-1] <= b[-1] for a, b in itertools.pairwise(where))
    assert all(abs(row[0] - before[-1]) <= 1 for before, row in itertools.pairwise(where))  # without gaps
    assert [row.index(MARK) for row in rows if MARK in row] == [4 + 12] and MARK in rows[-1]


@pytest.mark.parametrize(
    "curve", [([], []), ([3], [5.0]), ([1, 2], [2.0, 2.0]), ([1, 2, 3], [math.nan, 2.0, math.inf])]
)
def test_charts_of_next_to_nothing(curve):
    lines = chart(curve, ((2,), (2.0,)), width=20, height=5)
    assert sum(line.count(MARK) for line in lines) == 1 and all(len(line) <= 20 for line in lines)
    assert bool(sum(map(dots, lines))) == bool(curve[0])
    assert chart(([], []), ([], []), width=20, height=5) == [] == chart(curve, ((), ()), width=20, height=2)


def test_bars():
    assert bars([9, 8, 7, 5, 4, 1, 0], 3) == "█▅▁" and bars([2, 2], 9) == "▁▁" and bars([math.nan], 3) == ""


def test_lines_are_drawn_in_the_place_of_those_before(monkeypatch):
    monkeypatch.setenv("COLUMNS", "7")
    monkeypatch.setenv("LINES", "4")
    out = io.StringIO()
    screen = Screen(out)
    screen.show(["a"])
    screen.show(["a line that is long", "b", "c", "d"])
    screen.show(["e"])
    assert out.getvalue() == "a\n\x1b[1A\x1b[Ja line\nb\nc\n\x1b[3A\x1b[Je\n"


def test_what_draws(monkeypatch):
    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    assert draws(Terminal(io.BytesIO(), encoding="utf-8"))
    assert not draws(Terminal(io.BytesIO(), encoding="latin-1")) and not draws(io.TextIOWrapper(io.BytesIO(), "utf-8"))
    monkeypatch.setenv("TERM", "dumb")
    assert not draws(Terminal(io.BytesIO(), encoding="utf-8"))
