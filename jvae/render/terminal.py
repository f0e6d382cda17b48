"""Numbers in; charts made of letters out, and lines on a terminal that are drawn anew in their place."""

import itertools
import os
import shutil
from collections.abc import Sequence
from typing import TextIO

import numpy as np

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # bits of a Braille letter's dots, by row and column
BRAILLE = 0x2800
BARS = "▁▂▃▄▅▆▇█"
MARK = "●"
BEGINNING = 0.1  # share of a curve that may leave the chart, as a loss falls most at first

Curve = tuple[Sequence[float], Sequence[float]]
"""Steps, ascending, and values, as many."""


def chart(curve: Curve, marks: Curve, *, width: int, height: int) -> list[str]:
    """A curve as a line and other values as marks, over the same steps, in Braille: lines of text.

    The chart's height is for what comes after the first tenth of the steps; a line from above it begins at its edge.

    Args:
      curve: the line; its values, like those of the marks, are left out where they are not finite.
      marks: the marks.
      width: letters of a line, the names of the axes included.
      height: number of lines, at least 3.
    """
    (x, y), (at, marked) = _finite(curve), _finite(marks)
    steps, values = np.concatenate([x, at]), np.concatenate([y, marked])
    if not len(steps) or height < 3:
        return []
    first, last = steps.min(), steps.max()
    shown = values[steps >= first + BEGINNING * (last - first)]
    low, high = shown.min(), shown.max()
    names = {0: f"{high:.4g}", height - 2: f"{low:.4g}"}
    left = max(map(len, names.values())) + 2
    rows, columns = height - 1, max(width - left, 4)

    def place(values: np.ndarray, lines: int) -> np.ndarray:
        down = (high - np.clip(values, low, high)) / ((high - low) or 1)
        return np.rint(down * (lines - 1)).astype(int)

    cells = np.zeros((rows, columns), int)
    if len(x):
        where = np.linspace(first, last, 2 * columns)
        between = np.interp(where, x, y)
        dots = place(between, 4 * rows)
        for column, (before, now) in enumerate(itertools.pairwise([dots[0], *dots])):
            if between[column] <= high and x[0] <= where[column] <= x[-1]:
                for row in range(min(before, now), max(before, now) + 1):
                    cells[row // 4, column // 2] |= DOTS[row % 4][column % 2]
    letters = [[chr(BRAILLE + cell) if cell else " " for cell in row] for row in cells]
    across = np.rint((at - first) / ((last - first) or 1) * (columns - 1)).astype(int)
    for row, column in zip(place(marked, rows), across, strict=True):
        letters[row][column] = MARK
    lines = [f"{names.get(i, ''):>{left - 2}} │{''.join(row)}".rstrip() for i, row in enumerate(letters)]
    begin, end = f"{first:,.0f}", f"{last:,.0f}"
    return [*lines, " " * left + begin + end.rjust(columns - len(begin))]


def bars(values: Sequence[float], width: int) -> str:
    """Values as bars, lowest to highest: "▇▄▂▁". Of more than `width`, neighbours share one, their mean."""
    found = np.asarray(values, float)
    found = found[np.isfinite(found)]
    if not len(found):
        return ""
    found = np.array([part.mean() for part in np.array_split(found, min(width, len(found)))])
    share = (found - found.min()) / ((found.max() - found.min()) or 1)
    return "".join(BARS[i] for i in np.rint(share * (len(BARS) - 1)).astype(int))


def _finite(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    steps, values = np.asarray(curve[0], float), np.asarray(curve[1], float)
    return steps[np.isfinite(values)], values[np.isfinite(values)]


class Screen:
    """Lines on a terminal, each time in the place of those before.

    Args:
      out: the terminal.
    """

    def __init__(self, out: TextIO) -> None:
        self._out, self._shown = out, 0

    @property
    def size(self) -> tuple[int, int]:
        """Letters of a line, and lines, that there is place for."""
        columns, lines = shutil.get_terminal_size()
        return columns - 1, lines - 1

    def show(self, lines: Sequence[str]) -> None:
        """Draws the lines, cut to the terminal's size."""
        columns, most = self.size
        text = "".join(f"{line[:columns]}\n" for line in lines[:most])
        back = f"\x1b[{self._shown}A\x1b[J" if self._shown else ""
        self._out.write(back + text)
        self._out.flush()
        self._shown = min(len(lines), most)


def draws(out: TextIO) -> bool:
    """Whether `out` is a terminal that draws anew, and has the letters of charts."""
    try:
        f"{BARS}{MARK}{chr(BRAILLE)}│".encode(out.encoding)
    except UnicodeEncodeError:
        return False
    return out.isatty() and os.environ.get("TERM") != "dumb"
