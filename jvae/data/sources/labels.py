"""Columns of a table, as texts, in; yes/no attributes by name, bool [n,a], and what was left out, out."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from jvae.errors import InputError, unknown

MOST_VALUES = 20  # of a group of a pattern, for each to become an attribute
MOST_FOLDERS = 200  # names of folders, for each to become an attribute

_WORDS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
_RULE = "labels are 0 and 1, -1 and 1, true and false, yes and no, or probabilities with a threshold"


def to_attributes(
    table: pd.DataFrame,
    what: str,
    wanted: Sequence[str] = (),
    threshold: float | None = None,
    expand: bool = False,
) -> tuple[tuple[str, ...], np.ndarray, list[str]]:
    """The attributes that columns of texts hold.

    A column is one attribute when it holds labels: 0 and 1, -1 and 1, true and false, yes and no (in any case) or, with
    a threshold, probabilities. `NAME=VALUE` is an attribute that the images have whose column NAME says VALUE, and
    `NAME=LOW..HIGH`, either of which may be left out, one of those whose number is in that range, ends included.

    Args:
      table: the columns; its index has the images' ids.
      what: to call it in an error: "labels.csv".
      wanted: columns, or NAME=VALUE, or NAME=LOW..HIGH. None: every column that holds labels; one in which fewer than
        half of the rows do is left out.
      threshold: a probability from it on means yes.
      expand: of what is not wanted by name, a column of no labels but of few values becomes NAME=VALUE for each.

    Returns:
      The names, the labels (bool [n,a]), and the columns that were left out, each with a value: "age ('37')".

    Raises:
      InputError: a value is no label (the column and the image are named), or an unknown column or value is wanted.
    """
    if threshold is not None and not 0 < threshold <= 1:
        raise InputError(f"threshold={threshold:g} is no probability: give one above 0, up to 1")
    columns = {str(name): _Column(pd.Series(table[name]), what, threshold) for name in table.columns}
    found: dict[str, np.ndarray] = {}
    left_out = []
    for name in wanted:
        found[name] = columns[name].labels() if name in columns else _derived(name, columns, what)
    for name, column in () if wanted else columns.items():
        if column.is_label.all() or (column.share >= 0.5 and not expand):
            found[name] = column.labels()
        elif expand and 1 < len(column.values) <= MOST_VALUES:
            found |= {f"{name}={value}": column.equal(value) for value in sorted(column.values, key=_in_order)}
        else:
            left_out.append(f"{name} ({column.values[int(np.argmin(column.is_label))]!r})")
    if threshold is not None and not any(column.used_threshold for column in columns.values()):
        raise InputError(f"threshold={threshold:g}: {what} has no column of probabilities; leave the threshold out")
    return tuple(found), np.stack([*found.values()], axis=1) if found else np.zeros((len(table), 0), bool), left_out


class _Column:
    """One column, its distinct texts read once."""

    def __init__(self, texts: pd.Series, what: str, threshold: float | None):
        self.name, self.what, self.threshold, self.ids = texts.name, what, threshold, texts.index
        codes, values = pd.factorize(texts.fillna("").astype(str).str.strip())
        self.codes, self.values = codes, [str(value) for value in values]
        self.numbers = np.array([_number(value) for value in self.values])  # [v], NaN for what is none
        self.is_label = np.isin(self.numbers, (-1, 0, 1))  # [v]
        self.used_threshold = False
        if threshold is not None and not self.is_label.all() and ((self.numbers >= 0) & (self.numbers <= 1)).all():
            self.is_label, self.used_threshold = np.ones(len(self.values), bool), True
        self.share = float(np.mean(self.is_label[codes])) if len(codes) else 1.0

    def labels(self) -> np.ndarray:
        """Bool [n]."""
        self._all(self.is_label, _RULE)
        if not self.used_threshold and {-1.0, 0.0} <= set(self.numbers.tolist()):
            raise self._refused(self.numbers == 0, "it has -1 too, and which of the two means no is not known")
        return (self.numbers >= (self.threshold if self.used_threshold and self.threshold else 1))[self.codes]

    def equal(self, value: str) -> np.ndarray:
        """Which rows say `value`: bool [n]."""
        if value not in self.values:
            raise unknown(f"value of {self.name} in {self.what}", value, self.values)
        self._all(np.array([text != "" for text in self.values]), "every image needs a value")
        return np.array([text == value for text in self.values])[self.codes]

    def between(self, low: float, high: float) -> np.ndarray:
        """Which rows have a number from `low` to `high`: bool [n]."""
        self._all(np.isfinite(self.numbers), "a range needs numbers")
        return ((self.numbers >= low) & (self.numbers <= high))[self.codes]

    def _all(self, fine: np.ndarray, rule: str) -> None:
        if not fine.all():
            raise self._refused(~fine, rule)

    def _refused(self, wrong: np.ndarray, rule: str) -> InputError:
        row = int(wrong[self.codes].argmax())
        value = self.values[self.codes[row]]
        shown = repr(value) if value else "no value"
        return InputError(
            f"{self.what} has {shown} for {self.name} of {self.ids[row]}: {rule};"
            " mend it, or choose the other columns with --attributes"
        )


def _derived(wanted: str, columns: dict[str, _Column], what: str) -> np.ndarray:
    """The labels of NAME=VALUE or NAME=LOW..HIGH: bool [n]."""
    for at in (i for i, c in enumerate(wanted) if c == "="):  # a column's name may hold one itself
        name, value = wanted[:at], wanted[at + 1 :]
        if name in columns:
            low, dots, high = value.partition("..")
            ends = [_number(end) if end else default for end, default in ((low, -np.inf), (high, np.inf))]
            if dots and (low or high) and not np.isnan(ends).any():
                return columns[name].between(*ends)
            return columns[name].equal(value)
    raise unknown(f"column of {what}", wanted, list(columns))


def _number(text: str) -> float:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    return float(text) if _NUMBER.fullmatch(text) else float("nan")


def _in_order(text: str) -> tuple[float, str]:
    number = _number(text)
    return (np.inf if np.isnan(number) else number), text


def named_groups(pattern: str, names: Sequence[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """What the named groups of a regular expression say of names in which it is found.

    Args:
      pattern: as `re` reads it, such as r"(?P<age>[0-9]+)_(?P<gender>[01])_".
      names: n, of images.

    Returns:
      A column of texts a group, a row a name in which the pattern and all its groups are found; and which: bool [n].

    Raises:
      InputError: it is no regular expression, has no named group, or is found in no name.
    """
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise InputError(f"the pattern {pattern!r} is no regular expression: {error}") from None
    if not regex.groupindex:
        raise InputError(f"the pattern {pattern!r} names no group: write (?P<NAME>...) around what is to be a label")
    found = [regex.search(name) for name in names]
    groups = [match.groupdict() if match and None not in match.groupdict().values() else None for match in found]
    fits = np.array([group is not None for group in groups])
    if not fits.any():
        raise InputError(f"the pattern {pattern!r} is found in no image's name: {names[0]} is the first")
    rows = [group for group in groups if group is not None]
    return pd.DataFrame(rows, index=np.array(names, object)[fits], columns=list(regex.groupindex)), fits


def folder_labels(paths: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Folders' names as labels: those of the deepest level at which there is more than one.

    Args:
      paths: n, of images, with /.

    Returns:
      The names, sorted, and the labels, bool [n,a]: one a row is True.

    Raises:
      InputError: there is no such level, or it has more than MOST_FOLDERS names.
    """
    folders = [path.split("/")[:-1] for path in paths]
    depth = min(map(len, folders))
    levels = [[inner[level] for inner in folders] for level in range(depth)]
    level = next((names for names in reversed(levels) if len(set(names)) > 1), None)
    if level is None:
        raise InputError(f"--labels folders: {paths[0]} and the others lie in no folders of different names")
    names = tuple(sorted(set(level)))
    if len(names) > MOST_FOLDERS:
        raise InputError(
            f"--labels folders: there are {len(names)} folders ({names[0]}, {names[1]}, ...), and {MOST_FOLDERS} are"
            " the most that become attributes: give a table of labels, or none"
        )
    return names, np.array(level, object)[:, None] == np.array(names, object)
