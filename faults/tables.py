"""Tables of labels as people have them: valid ones, how each is read, and what becomes of one on its way."""

import functools
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from faults import oracle
from jvae.data.sources.celeba import CelebAFolder
from jvae.data.sources.folder import FolderSource
from tests.celeba_files import (
    NAMES,
    SPLIT_OF,
    attribute_table,
    attributes,
    encode,
    partition_table,
    picture,
    write_celeba,
)

Read = Callable[[bytes], object]


def attribute_tables(folder: Path) -> tuple[list[bytes], Read]:
    return _tables(folder, "list_attr_celeba", functools.partial(attribute_table, NAMES, attributes(len(NAMES))))


def partition_tables(folder: Path) -> tuple[list[bytes], Read]:
    return _tables(folder, "list_eval_partition", functools.partial(partition_table, SPLIT_OF))


def partition_csv(folder: Path) -> tuple[list[bytes], Read]:
    seeds, read = partition_tables(folder)
    return [seed for seed in seeds if seed.startswith(b"image_id")], read


def _tables(folder: Path, stem: str, text: Callable[..., str]) -> tuple[list[bytes], Read]:
    write_celeba(folder)
    (folder / f"{stem}.txt").unlink()

    def read(data: bytes) -> None:
        csv = data.lstrip(b"\xef\xbb\xbf \n").startswith(b"image_id")
        path = folder / (stem + (".csv" if csv else ".txt"))
        path.write_bytes(data)
        try:
            faces = CelebAFolder(folder)
            assert len(faces) == len(faces.splits) == len(faces.attrs) > 0 and faces.attrs.dtype == bool
            found = oracle.tables(data)
            if stem == "list_attr_celeba":
                oracle.check_labels(faces, found)
            else:
                oracle.check_splits(faces, found + oracle.headless(data))
        finally:
            path.unlink()

    return [text(csv=csv, end=end).encode() for csv in (False, True) for end in ("\n", "\r\n")], read


def own_tables(folder: Path) -> tuple[list[bytes], Read]:
    """Labels of one's own beside a folder of images."""
    names = [f"{i:06d}.jpg" for i in range(1, 10)]
    (folder / "images").mkdir(parents=True)
    for name in names:
        (folder / "images" / name).write_bytes(encode(picture(0, 16, 16)))
    rng = random.Random(0)

    def text(yes: str, no: str, columns: str) -> bytes:
        rows = [",".join([name, *(rng.choice((yes, no)) for _ in columns.split(","))]) for name in names]
        return "\n".join([f"image_id,{columns}", *rows]).encode()

    def read(data: bytes) -> None:
        (folder / "images" / "labels.csv").write_bytes(data)
        oracle.check_labels(FolderSource(folder / "images", labels="labels.csv"), oracle.tables(data))

    return [text("1", "0", "Male,Young,Smiling"), text("1", "-1", "Hat,Eyeglasses"), text("yes", "no", "Beard")], read


VALUES = (
    "1", "0", "-1", "1.0", "+1", "-1.0", "01", " 1", "2", "0.9", "0.5", "1e0", "yes", "No", "TRUE", "false", "x", "O",
    "", "NaN", "NA", "None", "-", "\uff11", "\u22121", "1,0", "'1'", "1 0", "inf",
)  # fmt: skip
HEADINGS = (
    "", " ", "image_id", "split", "Hat&Glasses", "a,b", 'say "cheese"', "Lächeln", "笑", "a\tb", "x" * 300, "1",
    "\ufeff", "Male=1", "age=20..30", "../x", "#hair", "\u200bYoung",
)  # fmt: skip
Rows = list[list[str]]


def mutate_table(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """A table of labels as other people's programs, and other people, write it: names, values, order, encoding."""
    lines = [line for line in rng.choice(seeds).decode().splitlines() if line.strip()]
    counted = lines[0].strip().isdigit()
    rows = [line.split(None if counted else ",") for line in lines[counted:]]
    if counted:
        rows[0].insert(0, "")
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        rng.choice(OF_TABLES)(rng, rows)
    sep = " " if counted else rng.choice((",", ",", ",", ", ", "\t", ";", " "))
    if rng.random() < 0.15 or any(sep in field for row in rows for field in row):
        rows = [['"' + field.replace('"', '""') + '"' for field in row] for row in rows]
    end = rng.choice(("\n", "\n", "\r\n", "\r", "\n\n", " \n", f"{sep}\n"))
    text = [sep.join(row) for row in rows]
    if counted:
        text = [str(len(rows) - 1 + rng.choice((0, 0, 0, 0, 1, -1))), text[0].lstrip(), *text[1:]]
    written = end.join(text) + rng.choice((end, end, "", "\x1a"))
    names = ("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252")
    return written.encode(rng.choice(names), "replace")


def _cell(rng: random.Random, rows: Rows) -> None:
    rng.choice(rows[1:])[-rng.randrange(1, len(rows[0]))] = rng.choice(VALUES)


def _values(rng: random.Random, rows: Rows) -> None:
    """Other words for yes and no, in a column or in all."""
    yes, no = rng.choice((("1", "0"), ("yes", "no"), ("True", "False"), ("1.0", "0.0"), ("2", "1"), ("0.9", "0.1")))
    columns = range(1, len(rows[0])) if rng.random() < 0.5 else [rng.randrange(1, len(rows[0]))]
    for row in rows[1:]:
        for column in columns:
            if column < len(row):
                row[column] = yes if row[column].strip() == "1" else no


def _name(rng: random.Random, rows: Rows) -> None:
    at = rng.randrange(len(rows[0]))
    name = rows[0][at]
    rows[0][at] = rng.choice((name.lower(), f" {name} ", name + ".1", rows[0][-1], *rng.sample(HEADINGS, 4)))


def _headings(rng: random.Random, rows: Rows) -> None:
    """Two names in each other's place, the columns where they were."""
    a, b = rng.randrange(len(rows[0])), rng.randrange(1, len(rows[0]))
    rows[0][a], rows[0][b] = rows[0][b], rows[0][a]


def _columns(rng: random.Random, rows: Rows) -> None:
    """The columns in another order, names and all; sometimes the images' too."""
    order = list(range(rng.choice((0, 1, 1)), len(rows[0])))
    rng.shuffle(order)
    order = [*({0} - {*order}), *order]
    rows[:] = [[row[i] for i in order if i < len(row)] for row in rows]


def _order(rng: random.Random, rows: Rows) -> None:
    rows[1:] = rng.sample(rows[1:], len(rows) - 1)


def _again(rng: random.Random, rows: Rows) -> None:
    """A row twice, the second time the same or not."""
    row = list(rng.choice(rows[1:]))
    rows.insert(rng.randrange(1, len(rows) + 1), row)
    if rng.random() < 0.5:
        row[-1] = "1" if row[-1].strip() != "1" else "0"


def _gone(rng: random.Random, rows: Rows) -> None:
    if len(rows) > 2:
        del rows[rng.randrange(1, len(rows))]


def _fields(rng: random.Random, rows: Rows) -> None:
    """One field too many or too few, in a row or in all."""
    chosen = rows if rng.random() < 0.3 else [rng.choice(rows)]
    at = rng.randrange(len(rows[0]) + 1)
    more = rng.random() < 0.5
    for row in chosen:
        if more:
            row.insert(at, rng.choice(("", "1", "x")))
        elif len(row) > 2:
            del row[min(at, len(row) - 1)]


def _image(rng: random.Random, rows: Rows) -> None:
    """Another way to write an image's name."""
    row = rng.choice(rows[1:])
    name = row[0]
    row[0] = rng.choice((name.upper(), f"img/{name}", name.partition(".")[0], f" {name}", name.lstrip("0"), "", "NA"))


OF_TABLES: tuple[Callable[[random.Random, Rows], None], ...] = (
    _cell, _cell, _values, _name, _headings, _columns, _order, _again, _gone, _fields, _image,
)  # fmt: skip
