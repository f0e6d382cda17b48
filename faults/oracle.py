"""Files read a second time, without any code of jvae's, to hold what jvae reads of them against."""

import csv
import io
import re
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageFile

YES, NO = {"1", "true", "yes"}, {"0", "-1", "false", "no"}
STRAY = 64  # bytes after the last pixels of a JPEG, before its end, that a reader may pass over


class Table(NamedTuple):
    """The names of the columns, and image -> column -> text: "" where a row is cut, nothing where it is too long."""

    names: list[str]
    rows: dict[str, dict[str, str]]


def tables(data: bytes) -> list[Table]:
    """Every way to read a table with a line of names, whose first is the images' column; or CelebA's text format.

    In each way neither a name nor an image comes twice.
    """
    found = []
    for text in _decoded(data):
        lines = [line.rstrip(" ") for line in re.split(r"\r\n|\n|\r", text) if line.strip()]
        if not lines:
            continue
        for sep in ",\t;":
            try:
                rows = list(csv.reader(lines, delimiter=sep, skipinitialspace=True))
            except csv.Error:
                continue
            found.append(_table(rows[0][1:], rows[1:]))
        rows = [line.split() for line in lines]
        if re.fullmatch("[0-9]{1,18}", lines[0].strip()) and len(rows) > 1:
            found.append(_table(rows[1], rows[2:]) if int(lines[0]) == len(rows) - 2 else None)
        else:
            found += [_table(rows[0][1:], rows[1:]), _table(rows[0], rows[1:])]
    return [table for table in found if table]


def headless(data: bytes) -> list[Table]:
    """Every way to read a table without names: of an image and a number a row, the number called "partition"."""
    lines = [line for text in _decoded(data) for line in re.split(r"\r\n|\n|\r", text) if line.strip()]
    table = _table(["partition"], [line.split() for line in lines])
    return [table] if table else []


def _decoded(data: bytes) -> Iterator[str]:
    names = ["utf-8-sig"]
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        names = ["utf-16"]
    for name in names:
        try:
            yield data.decode(name)
        except UnicodeDecodeError:
            yield data.decode("latin-1")


def _table(names: list[str], rows: list[list[str]]) -> Table | None:
    names = [name.strip() for name in names]
    if not rows or len(set(names)) < len(names):
        return None
    table = {
        row[0].strip(): dict(zip(names, [text.strip() for text in row[1:]] + [""] * len(names), strict=False))
        if len(row) <= len(names) + 1
        else {}
        for row in rows
    }
    return Table(names, table) if len(table) == len(rows) else None


def is_label(text: str) -> bool | None:
    """What a text says; None where it is no label."""
    text = text.lower()
    try:
        number = float(text)
        text = {1.0: "1", 0.0: "0", -1.0: "-1"}.get(number, "")
    except ValueError:
        pass
    return True if text in YES else False if text in NO else None


def check_labels(read: Any, found: list[Table]) -> None:
    """Asserts that what a source has read is so in one of the readings of its table: images, attributes, splits."""
    assert found, "it was read, and is no table"
    assert any(_agrees(read, table) for table in found), "what was read is not what the table says"


def _agrees(read: Any, table: Table) -> bool:
    names = {name.lower(): name for name in table.names} | {name: name for name in table.names}
    columns = [names.get(name, names.get(name.lower(), "")) for name in read.attribute_names]
    rows = [table.rows.get(image_id, {}) for image_id in read.image_ids]
    texts = [[row.get(column, "") for column in columns] for row in rows]
    for column in zip(*texts, strict=True):  # 0 and -1 in one column: which of them means no?
        if {"0", "-1"} <= {str(int(float(t))) for t in column if re.fullmatch(r"[+-]?[01](\.0*)?", t)}:
            return False
    return [[is_label(text) for text in row] for row in texts] == [[bool(v) for v in row] for row in read.attrs]


def check_splits(read: Any, found: list[Table]) -> None:
    """Asserts that the splits are those of one of the readings of a partition table."""
    words = {"train": "0", "validation": "1", "test": "2"}
    said = [words[str(split)] for split in read.splits]
    for table in found:
        rows = [table.rows.get(image_id, {}).get("partition", "") for image_id in read.image_ids]
        if [_whole(text) for text in rows] == said:
            return
    raise AssertionError("the splits are not what the table says")


def _whole(text: str) -> str:
    try:
        return f"{float(text):g}"
    except ValueError:
        return text


def picture(data: bytes) -> np.ndarray | None:
    """What Pillow in strict mode reads, uint8 [h,w,3]; None where it refuses or warns."""
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        except Exception:
            return None


class _Frame(NamedTuple):
    """What the head of a JPEG says: of each component, by id, its sampling and its tables; blocks and restarts."""

    sampling: dict[int, tuple[int, int]]
    units: int  # in the scan
    restart: int
    order: list[tuple[int, int, int]]  # component, tables of DC and AC
    codes: dict[tuple[int, int], dict[tuple[int, int], int]]  # class and number -> length and code -> symbol
    start: int  # of the scan's bytes


def is_whole(data: bytes) -> bool | None:
    """Whether the codes of a JPEG of one Huffman-coded scan make all of its blocks, and no more; None of others."""
    try:
        frame = _frame(data)
    except (LookupError, ValueError):
        return None
    if frame is None:
        return None
    try:
        at = _walk(data, frame)
    except (LookupError, ValueError):
        return False
    end = data.find(b"\xff\xd9", at)
    return 0 <= end - at <= STRAY


def _frame(data: bytes) -> _Frame | None:
    at, sampling, size, restart, codes = 2, {}, (0, 0), 0, {}
    while True:
        if data[at] != 0xFF:
            return None
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        body, at = data[at + 4 : at + 2 + length], at + 2 + length
        if marker in (0xC0, 0xC1):
            size = int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")
            sampling = {body[6 + 3 * i]: divmod(body[7 + 3 * i], 16) for i in range(body[5])}
        elif 0xC2 <= marker <= 0xCF and marker != 0xC4:
            return None
        elif marker == 0xDD:
            restart = int.from_bytes(body, "big")
        elif marker == 0xC4:
            while body:
                codes[divmod(body[0], 16)] = _codes(body[1:17], body[17:])
                body = body[17 + sum(body[1:17]) :]
        elif marker == 0xDA:
            if body[0] != len(sampling):
                return None
            order = [(body[1 + 2 * i], *divmod(body[2 + 2 * i], 16)) for i in range(body[0])]
            wide, high = (max(s[k] for s in sampling.values()) if len(sampling) > 1 else 1 for k in (0, 1))
            units = -(-size[0] // (8 * wide)) * -(-size[1] // (8 * high))
            return _Frame(sampling, units, restart, order, codes, at)


def _codes(counts: bytes, symbols: bytes) -> dict[tuple[int, int], int]:
    codes, code, k = {}, 0, 0
    for length, count in enumerate(counts, 1):
        for _ in range(count):
            codes[length, code] = symbols[k]
            code, k = code + 1, k + 1
        code <<= 1
    return codes


def _walk(data: bytes, frame: _Frame) -> int:
    """Where the scan's codes end; LookupError where there are too few, or one is none."""
    at, left = frame.start, frame.restart
    bits, held = 0, 0  # the next `held` bits of the stream

    def take(count: int) -> int:
        nonlocal at, bits, held
        while held < count:
            byte = data[at]
            if byte == 0xFF:
                if data[at + 1]:
                    raise LookupError("a marker")
                at += 1
            bits, held, at = (bits << 8 | byte) & (1 << 40) - 1, held + 8, at + 1
        held -= count
        return bits >> held & (1 << count) - 1

    def symbol(codes: dict[tuple[int, int], int]) -> int:
        code = 0
        for length in range(1, 17):
            code = code << 1 | take(1)
            if (length, code) in codes:
                return codes[length, code]
        raise LookupError("no code")

    single = len(frame.order) == 1
    for unit in range(frame.units):
        if frame.restart and unit and not left:
            held, left = 0, frame.restart
            if data[at] != 0xFF or data[at + 1] != 0xD0 + (unit // frame.restart - 1) % 8:
                raise LookupError("no restart")
            at += 2
        left -= 1
        for component, dc, ac in frame.order:
            wide, high = (1, 1) if single else frame.sampling[component]
            for _ in range(wide * high):
                take(symbol(frame.codes[0, dc]))
                k = 1
                while k < 64:
                    run, size = divmod(symbol(frame.codes[1, ac]), 16)
                    if not size and run != 15:
                        break
                    take(size)
                    k += run + 1
    return at
