"""The models of a sweep and how far they are; the rows of sweep.json, kept from call to call, and a table of them."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jvae.errors import InputError
from jvae.io.files import replacing
from jvae.training.member import Member
from jvae.training.validation import Scores

SWEEP = "sweep.json"


class Row(NamedTuple):
    """How one run of a sweep ended.

    Attributes:
      name: of its directory.
      step: steps done.
      best: name of the score that its task goes by.
      validation: scores on the validation split, when it was last validated; None before that, and where it failed.
      test: the same on the test split, when a sweep of it last came to its end.
      failed: why it ended early, or None.
      order: seed of the order of its batches; None where an older jvae did not say.
    """

    name: str
    step: int
    best: str
    validation: Scores | None = None
    test: Scores | None = None
    failed: str | None = None
    order: int | None = None


def read_sweep(out: Path) -> dict[str, Row]:
    """The rows that are written down, by name.

    Raises:
      InputError: they are damaged.
    """
    path = out / SWEEP
    try:
        rows = [Row(**row) for row in json.loads(path.read_bytes())] if path.is_file() else []
        if not all(isinstance(row.name, str) and isinstance(row.step, int) for row in rows):
            raise TypeError("a row without a name or a step")
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is damaged ({error}): put back a copy, or delete it") from None
    return {row.name: row for row in rows}


def write_sweep(
    out: Path, members: Sequence[Member], orders: Mapping[str, int], tests: Mapping[str, Scores]
) -> list[Row]:
    """Writes the rows of the runs beside those of others, and returns them. Scores stay until there are newer ones."""
    rows = read_sweep(out)
    for member in members:
        row = Row(member.name, member.step, member.task.best, failed=member.failed, order=orders[member.name])
        before = rows.get(member.name, row)
        order = before.order if row.step else row.order  # of an older jvae's run it stays unknown
        if not 0 < before.step <= row.step:  # it began anew, or went back
            before = row
        if not member.failed:
            test = tests.get(member.name, before.test)
            row = row._replace(validation=member.scores or before.validation, test=test)
        rows[member.name] = row._replace(order=order)
    with replacing(out / SWEEP) as part:
        part.write_text(json.dumps([row._asdict() for row in rows.values()], indent=1) + "\n")
    return [rows[member.name] for member in members]


def sweep_table(rows: Sequence[Row]) -> str:
    """The rows as text, the lowest on the test split first, those that failed last."""
    more = [name for name in next((row.test for row in rows if row.test), {}) if name not in ("n", rows[0].best)][:3]
    lines = [["model", "step", f"validation {rows[0].best}", f"test {rows[0].best}", *more]]
    for row in sorted(rows, key=lambda row: row.test[row.best] if row.test else math.inf):
        scores = [(row.validation, row.best), (row.test, row.best), *((row.test, name) for name in more)]
        lines.append([row.name, f"{row.step}", *(f"{found[name]:.5g}" if found else "-" for found, name in scores)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]
    return "\n".join([*text, *(f"{row.name}: {row.failed}" for row in rows if row.failed)])
