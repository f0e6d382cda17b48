"""Any folder or zip of images, in any nesting, with labels from a table, from folders' or files' names, or none."""

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from jvae.data.source import Example, check_attribute_names
from jvae.data.sources.archive import SUFFIXES, Files, FolderFiles, ZipFiles
from jvae.data.sources.celeba import CelebAFolder, read_partition
from jvae.data.sources.labels import folder_labels, named_groups, to_attributes
from jvae.data.sources.splits import complete, is_split_folder, splits_by_folder, splits_by_value
from jvae.data.sources.tables import find_table, read_frame
from jvae.errors import InputError, unknown


class FolderSource:
    """The images of a folder or zip, in the order of their labels' table, or else of their paths.

    An image's id is its path in the folder with /, or what the table of labels calls it.

    Attributes:
      path: path of the folder or zip.
      name: words that say what the source is.
      attribute_names: names of the columns of `attrs`.
      image_ids: str objects [n], names of the images.
      attrs: bool [n,a], labels of the images.
      splits: str [n], the split of each image.
      missing: number of the table's rows that have no image here.
      message: lines that say what was made of the folder.
    """

    def __init__(
        self,
        path: Path,
        *,
        labels: str | None = None,
        id: str | None = None,
        split: str | None = None,
        attributes: tuple[str, ...] = (),
        threshold: float | None = None,
        pattern: str | None = None,
    ):
        """Reads names and labels; no image is opened.

        Args:
          path: folder, whose folders are searched too, or a zip.
          labels: table of labels with a row for each image, here or in the folder; its columns are parted by commas,
            tabs, semicolons or blanks, or it is in CelebA's own format. Or "folders": the names of the images' folders
            are the labels (default: no labels).
          id: column of the table that names the images, by path or base name, with or without suffix (default: the
            first).
          split: column of the table that says train, val or test, or 0, 1 or 2. Or a table of its own, of names and 0,
            1, 2; or "folders", called train, val and test; or "random": .8, .1 and .1 by a hash of the id (default: the
            column `split` or `partition` if there is one, else such folders if there are, else random). A split without
            images takes a tenth of those for training, by the hash.
          attributes: labels to take: columns, such as Smiling; values of a column, such as race=2; or ranges of one,
            such as age=40.. or age=20..39, ends included (default: all columns that hold labels).
          threshold: probability from which on a label is yes, where a table has probabilities (default: it has none).
          pattern: regular expression to find in the images' names, whose named groups become columns, such as
            "(?P<age>[0-9]+)_(?P<gender>[01])_" for UTKFace. Unless --attributes names some, the labels are the groups
            of 0 and 1, and each value of groups that have up to 20 (default: names are not searched).

        Raises:
          InputError: there are no images, they do not fit the table, a name fits two images, or a value is no label.
        """
        self.path = root = Path(path).expanduser()
        self._files = _open(root)
        self.name = f"{self._files.kind} of images"
        paths = self._files.names
        if labels and pattern:
            raise InputError("labels are read from a table or from names: give --labels or --pattern, not both")
        columns = bool(pattern) or labels not in (None, "folders")
        about = {"attributes": attributes and not columns, "threshold": threshold and not columns}
        about["id"] = id and (pattern or not columns)
        if given := next((flag for flag, stray in about.items() if stray), None):
            raise InputError(f"--{given} is about a table of labels, and there is none: give --labels TABLE")
        lines = []
        table, self.missing, what = pd.DataFrame(index=pd.Index(paths, dtype=object)), 0, ""
        if labels == "folders":
            names, self.attrs = folder_labels(_without_splits(paths))
        else:
            if labels:
                what = Path(labels).name
                table, paths, self.missing = _matched(_labels_file(labels, root), id, paths, self._files.path, lines)
            elif pattern:
                what = "the pattern"
                table, fits = named_groups(pattern, paths)
                lines += _left(paths, ~fits, "do not fit the pattern")
                paths = table.index.tolist()
            column = _split_column(split, table)
            plain = table.drop(columns=[column] if column else [])
            names, self.attrs, left_out = to_attributes(plain, what, attributes, threshold, bool(pattern))
            if left_out:
                lines.append(f"{what}: no labels, so left out: {', '.join(left_out)}")
            if not names and (labels or pattern):
                raise InputError(f"{what} has no column of labels: name some with --attributes, or give a --threshold")
        check_attribute_names(names)
        self.attribute_names = names
        self._paths, self.image_ids = paths, np.asarray(table.index, object)
        self.splits = self._split(split, table, what, lines)
        self.message = "\n".join(lines)

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, index: int, /) -> Example:
        """Example `index`, its image as the file's bytes; InputError when the file cannot be read."""
        image = self._files.read(self._paths[index])
        return Example(image, self.attrs[index], self.image_ids[index], str(self.splits[index]))

    def _split(self, split: str | None, table: pd.DataFrame, what: str, lines: list[str]) -> np.ndarray:
        ids = self.image_ids.tolist()
        column = _split_column(split, table)
        by_folder = splits_by_folder(self._paths) if split == "folders" or (split is None and not column) else None
        if column is not None:
            found, how = splits_by_value(pd.Series(table[column]), what), f"by {column} of {what}"
        elif by_folder is not None:
            found, how = by_folder, "by folders' names"
        elif split in (None, "random"):
            found, how = np.full(len(ids), "train"), "at random by id"
        elif split == "folders":
            raise InputError(f"--split folders: no folder in {self._files.path} is called train, val or test")
        elif (file := _existing(split, self._files.path)) is not None:
            rows = read_partition(file)
            row_of = match(self._paths, [str(row) for row in rows.index], file.name)
            if (row_of < 0).any():
                raise InputError(f"{file.name} has no row for {self._paths[int((row_of < 0).argmax())]}: add one")
            found, how = np.asarray(rows)[row_of].astype(str), f"by {file.name}"
        else:
            raise unknown("column or table of splits", split, [*map(str, table.columns), "folders", "random"])
        whole, made = complete(found, ids)
        counts = ", ".join(f"{n} {s}" for s, n in sorted(Counter(whole.tolist()).items(), key=lambda pair: -pair[1]))
        more = f"; {' and '.join(made)} by id from train" if made and how != "at random by id" else ""
        lines.append(f"split {how}{more}: {counts}")
        return whole


def open_folder(path: str | os.PathLike[str]) -> CelebAFolder | FolderSource:
    """The source that makes most of a path: a CelebA folder where CelebA's table of attributes is, or any images.

    Raises:
      InputError: there is no such folder or zip, no image in it, or see `CelebAFolder`.
    """
    return CelebAFolder(path) if find_table(Path(path), "list_attr_celeba") else FolderSource(Path(path))


def match(paths: Sequence[str], rows: Sequence[str], what: str) -> np.ndarray:
    """Which row is of which image.

    A row names an image by its path, or a part of it from the right, or a longer path that ends in it; with or without
    the suffix, or with that of another format. The closest of these counts.

    Args:
      paths: n, of images, with /.
      rows: the names a table has.
      what: to call the table in an error.

    Returns:
      The row of each image, or -1: int64 [n].

    Raises:
      InputError: a row names two images, or two rows name one; both are named.
    """
    by_stem: dict[str, list[int]] = defaultdict(list)
    for i, path in enumerate(paths):
        by_stem[_stem(path.rpartition("/")[2])].append(i)
    found = np.full(len(paths), -1, np.int64)
    for r, row in enumerate(rows):
        name = row.replace("\\", "/").removeprefix("./").lstrip("/")
        folder, _, base = name.rpartition("/")
        near = [i for i in by_stem.get(_stem(base), ()) if _within(paths[i].rpartition("/")[0], folder)]
        same = [i for i in near if paths[i].rpartition("/")[2] == base]
        some = [i for i in same if paths[i] == name] or same or near
        if not some:
            continue
        if len(some) > 1:
            raise InputError(f"{row} of {what} may be {paths[some[0]]} or {paths[some[1]]}: write the path there")
        if found[some[0]] >= 0:
            raise InputError(f"{what} has {rows[found[some[0]]]} and {row} for {paths[some[0]]}: keep one")
        found[some[0]] = r
    return found


def _within(one: str, other: str) -> bool:
    """Whether one folder's path ends in the other's."""
    return not one or not other or one == other or one.endswith(f"/{other}") or other.endswith(f"/{one}")


def _stem(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in SUFFIXES else name


def _open(root: Path) -> Files:
    if not root.exists():
        raise InputError(f"{root} does not exist: give a folder of images, or a zip")
    files: Files = FolderFiles(root, nested=True) if root.is_dir() else ZipFiles(root, nested=True)
    if not files.names:
        raise InputError(f"no images in {root}: a file counts that ends in {', '.join(SUFFIXES[:9])} or the like")
    return files


def _existing(name: str, root: Path) -> Path | None:
    """The file `name`, or that in the folder `root`; None where there is neither."""
    return next((p for p in (Path(name).expanduser(), root / name) if p.is_file()), None)


def _labels_file(name: str, root: Path) -> Path:
    file = _existing(name, root)
    if file is None:
        raise InputError(f"there is no table {name}, nor one in {root}: give a file of labels, or folders")
    return file


def _split_column(split: str | None, table: pd.DataFrame) -> str | None:
    columns = [str(column) for column in table.columns]
    if split is None:
        return next((column for column in columns if column.lower() in ("split", "partition")), None)
    return split if split in columns else None


def _without_splits(paths: Sequence[str]) -> list[str]:
    """The paths without folders called train, val or test."""
    parts = [path.split("/") for path in paths]
    return ["/".join([*(f for f in path[:-1] if not is_split_folder(f)), path[-1]]) for path in parts]


def _left(names: Sequence[str], out: np.ndarray, why: str) -> list[str]:
    """A line that says which were left out; none where there are none."""
    if not out.any():
        return []
    return [f"{int(out.sum())} of {len(out)} images {why} and are left out: {names[int(out.argmax())]}, for one"]


def _matched(
    file: Path, column: str | None, paths: Sequence[str], root: Path, lines: list[str]
) -> tuple[pd.DataFrame, list[str], int]:
    """The rows of a table that have an image, by the images' ids; the images' paths; how many rows have none."""
    frame = read_frame(file)
    columns = [str(name) for name in frame.columns]
    if column is not None and column not in columns:
        raise unknown(f"column of {file.name}", column, columns)
    column = column or columns[0]
    ids = [str(text).strip() for text in frame[column].fillna("")]
    if twice := [image_id for image_id, n in Counter(ids).items() if n > 1]:
        raise InputError(f"{file.name} has more than one row for {twice[0] or 'no name'}: keep one")
    rows = match(paths, ids, file.name)
    if (rows < 0).all():
        raise InputError(
            f"no image of {root} is in the column {column} of {file.name}: the first image is {paths[0]}, the first row"
            f" {ids[0]}; name the column of the images with --id ({', '.join(columns[:9])})"
        )
    lines += _left(paths, rows < 0, f"have no row in {file.name}")
    images = np.argsort(rows, kind="stable")[int((rows < 0).sum()) :]  # in the table's order
    missing = len(ids) - len(images)
    if missing:
        lines.append(f"{len(images)} of the {len(ids)} images in {file.name} are here; {missing} are missing")
    table = frame.drop(columns=column).iloc[rows[images]]
    here: list[int] = images.tolist()
    return table.set_axis(np.array(ids, object)[rows[images]]), [paths[i] for i in here], missing
