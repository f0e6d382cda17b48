"""Tables of labels by pandas: CelebA's text files, whose line ends and blanks vary, their CSV copies, any others."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from jvae.errors import InputError

FOLDERS = ("Anno", "Eval", "Img")  # in which the official CelebA keeps what others keep beside one another

_SUFFIXES = (".txt", ".csv")
_LONGEST_LINE = 100_000  # characters; CelebA's have some 700, and one of millions of fields takes pandas minutes


def find_table(root: Path, stem: str, word: str = "") -> Path | None:
    """`stem`.txt or `stem`.csv in `root` or one of its FOLDERS, or another table there whose name has `word` in it.

    Returns:
      Its path, or None when there is none.

    Raises:
      InputError: there are several of another name.
    """
    folders = [folder for folder in (root, *(root / name for name in FOLDERS)) if folder.is_dir()]
    exact = (folder / (stem + suffix) for folder in folders for suffix in _SUFFIXES)
    if found := next((path for path in exact if path.is_file()), None):
        return found
    tables = (p for folder in folders for p in sorted(folder.iterdir()) if p.suffix in _SUFFIXES and p.name[0] != ".")
    others = [path for path in tables if word and word in path.name.lower() and path.is_file()]
    if len(others) > 1:
        raise InputError(f"{others[0]} and {others[1]} may both be {stem}: call one so, or move the other away")
    return others[0] if others else None


def read_table(
    path: Path, columns: Sequence[str], headed: bool = True, way: str = "download the table again"
) -> tuple[np.ndarray, np.ndarray]:
    """A table of an image a row.

    A `.csv` has a header `image_id,` and the columns. A `.txt` that is `headed` has a line with the count of its rows,
    a line with the columns, then the rows: a file name and the values, separated by any blanks; one that is not
    headed has the rows alone.

    Args:
      path: the file.
      columns: the names the header must have, in any order; capitals do not matter.
      headed: whether a `.txt` has its two head lines.
      way: what an error of the head lines says is to be done.

    Returns:
      The image ids (str objects [n]) and the values (int32 [n, len(columns)]) in the order of `columns`.

    Raises:
      InputError: other columns, another count than the table says, a row that is cut, a value that is no integer, or
        an image that has two rows.
    """
    found, count, start = _head(path, columns, headed, way)
    ids, values = _rows(path, found, start)
    if count is not None and count != len(ids):
        raise InputError(f"{path.name} says {count} rows and has {len(ids)}: it is cut or edited; download it again")
    if not len(ids):
        raise InputError(f"{path.name} has no rows: give a whole table")
    if len(set(ids)) < len(ids):
        twice = ids[np.asarray(pd.Series(ids).duplicated()).argmax()]
        raise InputError(f"{path.name} has more than one row for {twice}: keep one")
    return ids, values[:, [found.index(c) for c in columns]]


def _head(path: Path, columns: Sequence[str], headed: bool, way: str) -> tuple[list[str], int | None, int]:
    """The columns of the file without the image's, the count of rows it claims, and the line where its rows start."""
    comma = path.suffix == ".csv"
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        lines = (line.strip() for line in iter(lambda: file.readline(_LONGEST_LINE + 1), ""))
        first, second = next(lines, ""), next(lines, "")
        third = next(filter(None, lines), "")  # by which pandas counts the columns, unless it is one of the others
    if longest := next((line for line in (first, second, third) if len(line) > _LONGEST_LINE), ""):
        raise InputError(f"{path.name} has a line of more than {_LONGEST_LINE:,} characters: {longest[:20]!r}...")
    _check_utf8(path, first, second)
    if not comma and not headed:
        return list(columns), None, 0
    if comma:
        found = [c.strip().strip('"') for c in first.split(",")]
        if found[0].lower() != "image_id":
            what = f"{path.name} starts with the column {found[0][:40]!r}"
            raise InputError(f"{what}: a CSV table starts with image_id; {way}")
        found, count, start = found[1:], None, 1
    else:
        if not re.fullmatch(r"[0-9]{1,18}", first):
            raise InputError(f"{path.name} starts with {first[:40]!r}: its first line is the count of its rows; {way}")
        found, count, start = second.split(), int(first), 2
    official = {c.lower(): c for c in columns}
    found = [official.get(c.lower(), c) for c in found]
    wrong = {
        "it lacks": [c for c in columns if c not in found],
        "it has the unknown": [c for c in found if c not in columns],
        "it has more than one": [c for c, n in Counter(found).items() if n > 1],
    }
    if lists := [f"{what} {_some(names)}" for what, names in wrong.items() if names]:
        what = f"{path.name} has {len(found)} columns where CelebA has {len(columns)}"
        raise InputError(f"{what}: {', '.join(lists)}; {way}")
    return found, count, start


def read_frame(path: Path) -> pd.DataFrame:
    """Any table with a row an image, as texts: str objects, or NaN where a row is cut.

    A line of columns and rows of as many fields, all parted by commas, tabs, semicolons or blanks, whichever is in the
    first line; where blanks part, the column of the images may have no name. Or CelebA's own format, see `read_table`.
    A column without a name is called `image_id`.

    Raises:
      InputError: there is no such file, it cannot be read, it has no rows or another count than it says, a row is too
        long, or two columns have one name.
    """
    if not path.is_file():
        raise InputError(f"there is no table {path}: give a file of labels")
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        lines = [line.strip("\n\r ") for line in (file.readline(_LONGEST_LINE + 1) for _ in range(3))]
    if longest := next((line for line in lines if len(line) > _LONGEST_LINE), ""):
        raise InputError(f"{path.name} has a line of more than {_LONGEST_LINE:,} characters: {longest[:20]!r}...")
    _check_utf8(path, *lines[:2])
    start = 2 if re.fullmatch(r"[0-9]{1,18}", lines[0]) else 1
    head, row = lines[start - 1 : start + 1]
    sep = next((s for s in ",\t;" if s in head), r"\s+")
    columns = head.split() if sep == r"\s+" else next(csv.reader([head], delimiter=sep))
    columns = [column.strip() or "image_id" for column in columns]
    if sep == r"\s+" and (start == 2 or len(row.split()) == len(columns) + 1):
        columns = ["image_id", *columns]
    if twice := [column for column, n in Counter(columns).items() if n > 1]:
        raise InputError(f"{path.name} has more than one column {twice[0]}: rename one")
    frame = _fields(path, sep, start, len(columns), str)
    if start == 2 and len(frame) != int(lines[0]):
        raise InputError(
            f"{path.name} says {lines[0]} rows and has {len(frame)}: it is cut, or its first line is wrong"
        )
    return frame.set_axis(columns, axis=1)


def _check_utf8(path: Path, *lines: str) -> None:
    """Raises InputError where lines were read of which a byte is no part of UTF-8, which pandas checks of the rows."""
    if any("\ufffd" in line for line in lines):
        raise _not_utf8(path)


def _not_utf8(path: Path) -> InputError:
    return InputError(f"{path.name} is not in UTF-8: save it so, or download it again")


def _fields(path: Path, sep: str, start: int, count: int, value: type) -> pd.DataFrame:
    """The rows of the file from line `start`, of `count` fields: the first as text, the others as `value`."""
    # Columns have numbers, not names: given names, pandas silently drops the fields of a row that is too long.
    types: Any = {0: str, **dict.fromkeys(range(1, count), value)}
    # The text files know no quotes: one is part of a name.
    quoting: Any = csv.QUOTE_NONE if sep == r"\s+" else csv.QUOTE_MINIMAL
    how: Any = {"header": None, "dtype": types, "keep_default_na": False, "quoting": quoting, "skipinitialspace": True}
    try:
        with np.errstate(invalid="ignore"):  # of numbers too large, which are then named
            frame = pd.read_csv(path, sep=sep, skiprows=start, **how)
    except UnicodeDecodeError:
        raise _not_utf8(path) from None
    except pd.errors.EmptyDataError:
        raise InputError(f"{path.name} has no rows: give a whole table") from None
    except pd.errors.ParserError as error:
        raise InputError(f"{path.name} cannot be read ({str(error).strip()}): every row has {count} fields") from None
    if frame.shape[1] != count:
        raise InputError(
            f"{path.name} has {frame.shape[1]} fields in a row where there are {count}: give a whole table"
        )
    return frame


def _rows(path: Path, columns: list[str], start: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the file from line `start`: the first field (str objects [n]), the others (int32 [n, columns])."""
    sep = "," if path.suffix == ".csv" else r"\s+"
    try:
        frame = _fields(path, sep, start, 1 + len(columns), np.int32)
    except (ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        frame = _fields(path, sep, start, 1 + len(columns), str)  # slow, to find the value that is none
    ids, values = np.asarray(frame[0], object), frame.iloc[:, 1:]
    if all(t == np.int32 for t in values.dtypes):
        return ids, np.asarray(values)
    numbers = np.asarray(values.apply(pd.to_numeric, errors="coerce"), float)
    wrong = np.argwhere(~((np.abs(numbers) < 2**31) & (numbers == np.round(numbers))))
    if not len(wrong):
        return ids, numbers.astype(np.int32)
    row, column = wrong[0]
    value = values.iat[row, column]
    what = repr(value) if value and value == value else "no value"  # a cut row is filled with NaN
    raise InputError(
        f"{path.name} has {what} for {columns[column]} of {ids[row]}: every row has {len(columns)} integers"
    )


def find_words(path: Path) -> str:
    """True or False, as the file has it in its first row, where pandas takes a column of them for 1 and 0; or ""."""
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        head = file.read(_LONGEST_LINE)
    found = re.search(r"(?<=[\s,\"])(true|false)(?=[\s,\"]|$)", head, re.IGNORECASE)
    return found[0] if found else ""


def _some(names: Sequence[str], count: int = 3) -> str:
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")
