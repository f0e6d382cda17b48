"""The packed store: a directory of decoded images and their labels, written whole or not at all, opened as a map.

images.npy   uint8 [n,h,w,3]
labels.csv   image_id, split, then a column of 0 and 1 an attribute; a row an image
meta.json    `Meta`
"""

import contextlib
import dataclasses
import io
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from jvae.data.decode import CROPS, crop_box, preprocess
from jvae.data.packing import FORMAT, IMAGES, LABELS, LONGEST_ID, META, Meta, write_store
from jvae.data.source import (
    LONGEST_LINE,
    SPLITS,
    Source,
    check_missing,
    column_of,
    crop_of_source,
    no_images,
)
from jvae.errors import InputError
from jvae.io.arrays import read_header, row_numbers
from jvae.io.fields import build, read_object
from jvae.io.files import CHECKSUM, on_disk, seal, unseal

__all__ = ["CROPS", "Meta", "PackedStore", "crop_box", "pack", "preprocess"]


def pack(
    source: Source | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    size: int = 64,
    crop: str = "center",
    count: int | None = None,
    skip_bad: bool = False,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> "PackedStore":
    """Decodes every image of `source` once, on all cores, into a store in the directory `out`.

    The order is the source's. `out` appears when the store is complete: a pack that fails or is killed leaves
    nothing there, and a store that was there stays. A source that draws its images (one with
    `render` and the same `size`, as `RenderedFaces`) is asked for many at once instead.

    Args:
      source: images, with their labels, ids and splits; or the path of a folder or zip of images, or of CelebA, see
        `jvae.data.sources.folder.open_folder`.
      out: directory to make.
      size: height and width of the packed images in pixels, a multiple of 16.
      crop: what to keep of an image, one of CROPS, see `preprocess`.
      count: number of images to pack, from all over the source; None packs all.
      skip_bad: leave out images that cannot be read, and record them in the store's meta.
      overwrite: replace the store that is at `out`.
      workers: number of decoding threads; None is one a core.
      progress: show a progress bar.

    Returns:
      The store, open.

    Raises:
      InputError: `out` exists, the disk is too small, an argument is out of range, an attribute's name or a label is
        none, or images cannot be read (all are looked at first, so the message counts them).
      OSError: the disk is full after all, or cannot be written.

    Warns:
      InputWarning: fewer than half of the images that the source's table lists are there.
    """
    from jvae.data.sources.folder import open_folder  # here, as it imports pandas, which an open store needs not

    found: Any = open_folder(source) if isinstance(source, str | os.PathLike) else source
    write_store(
        found,
        out,
        size=size,
        crop=crop,
        count=count,
        skip_bad=skip_bad,
        overwrite=overwrite,
        workers=workers,
        progress=progress,
        read=PackedStore.open,
    )
    check_missing(found)
    return PackedStore.open(out)


S = TypeVar("S")


def opened(store: "S | str | os.PathLike[str]") -> "S | PackedStore":
    """A store as it is, or the packed one that lies at a path."""
    return PackedStore.open(store) if isinstance(store, str | os.PathLike) else store


@dataclasses.dataclass(frozen=True, eq=False)
class PackedStore:
    """An open store.

    Attributes:
      path: directory of the store.
      meta: what is known of the store as a whole.
      images: uint8 [n,h,w,3], a read-only memory map.
      image_ids: str [n], names of the images.
      splits: str [n], each one of SPLITS.
      attrs: bool [n,a], labels of the images.
    """

    path: Path
    meta: Meta
    images: np.ndarray
    image_ids: np.ndarray
    splits: np.ndarray
    attrs: np.ndarray

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "PackedStore":
        """Opens the store in directory `path`. Every byte is checked but the pixels: see `verify`.

        Raises:
          InputError: there is none, a newer jvae wrote it, or a file is missing, damaged or of another store.
        """
        path = on_disk(path)
        meta = _read_meta(path)
        labels = _read_labels(path / LABELS, meta)
        return cls(
            path=path,
            meta=meta,
            images=_map_images(path / IMAGES, meta),
            image_ids=np.asarray(labels.ids, str),
            splits=np.asarray(labels.splits, str),
            attrs=np.asarray(labels.attrs, bool),
        )

    def __len__(self) -> int:
        return self.meta.count

    @property
    def size(self) -> int:
        """Height and width of the images in pixels."""
        return self.meta.size

    @property
    def source(self) -> str:
        """What the images are, in words."""
        return self.meta.source

    @property
    def crop(self) -> str:
        """How the images were cut, one of CROPS: see `crop_of_source`."""
        return crop_of_source(self.meta.source, self.meta.crop)

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """The names of the columns of `attrs`."""
        return self.meta.attribute_names

    @property
    def streamed(self) -> bool:
        """No: what is packed has been decoded."""
        return False

    @property
    def checksum(self) -> str:
        """CRC-32 of `meta`, which has those of all pixels and labels: two stores that have the same are the same."""
        return seal(dataclasses.asdict(self.meta))[CHECKSUM]

    def indices(self, split: str | None) -> np.ndarray:
        """The rows of `split`, or all rows for None, in order: int64 [m].

        Raises:
          InputError: no such split, or no images in it.
        """
        if split is None:
            return np.arange(len(self), dtype=np.int64)
        rows = np.flatnonzero(self.splits == split).astype(np.int64)
        if not len(rows):
            raise no_images(self.path, split, self.meta.counts)
        return rows

    def index(self, image_id: str) -> int:
        """The row of image `image_id`; InputError with the ids nearest by number when it is not there."""
        rows = np.flatnonzero(self.image_ids == image_id)
        if len(rows):
            return int(rows[0])
        number = _number(image_id)
        if number < 0:
            first, last = self.image_ids[0], self.image_ids[-1]
            raise InputError(
                f"unknown image_id {image_id!r} in {self.path}: it has {len(self)}, from {first} to {last}"
            )
        numbers = np.array([_number(i) for i in self.image_ids.tolist()])
        close = self.image_ids[np.argsort(np.abs(numbers - number), kind="stable")[:3]]
        raise InputError(f"unknown image_id {image_id!r} in {self.path}: the nearest are {', '.join(close)}")

    def attribute(self, name: str) -> int:
        """The column of attribute `name`; InputError with the nearest names when it is not there."""
        return column_of(name, self.attribute_names)

    def verify(self, *rows: Any) -> None:
        """Reads every pixel of the blocks that hold the images at these rows, or of all, once, on all cores.

        Args:
          *rows: integers, masks or slices, see `jvae.io.arrays.row_numbers`.

        Raises:
          InputError: a block is not what was packed, and its rows are named; or there is no such row.
        """
        n = self.meta.block_rows
        named = [row_numbers(each, len(self)).ravel() // n for each in rows]
        numbers = np.unique(np.concatenate(named)).tolist() if rows else range(len(self.meta.blocks))
        with ThreadPoolExecutor() as pool:
            found = pool.map(lambda i: f"{zlib.crc32(self.images[i * n : (i + 1) * n].data):08x}", numbers)
            bad = [i for i, crc in zip(numbers, found, strict=True) if crc != self.meta.blocks[i]]
        if bad:
            more = f" and of {len(bad) - 1} more blocks" if len(bad) > 1 else ""
            raise InputError(
                f"{self.path / IMAGES} is damaged: the images of rows {bad[0] * n} to "
                f"{min((bad[0] + 1) * n, len(self)) - 1}{more} are not those that were packed; pack again"
            )

    @contextlib.contextmanager
    def verified(self, *rows: Any) -> Iterator[None]:
        """Does `verify` beside what the block does, and ends with what it raises: keep nothing before."""
        with ThreadPoolExecutor(1) as beside:
            checking = beside.submit(self.verify, *rows)
            yield
            checking.result()

    def read(self, rows: Any) -> np.ndarray:
        """The images at `rows` [m], named as for `verify`, verified: uint8 [m,h,w,3]."""
        rows = row_numbers(rows, len(self))
        self.verify(rows)
        return np.asarray(self.images[rows])


def _number(image_id: str) -> int:
    digits = re.findall(r"\d+", image_id)
    return int(digits[-1]) if digits else -1


def _read_meta(path: Path) -> Meta:
    if not (path / META).is_file():
        what = f"{path} is no packed store: it has no {META}" if path.is_dir() else f"no packed store at {path}"
        raise InputError(f"{what}; make one with jvae pack")
    fields = read_object((path / META).read_bytes(), str(path / META))
    version = fields.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise InputError(f"{path} has format {version} and this jvae reads up to {FORMAT}: update jvae or pack again")
    try:
        if version == 1:  # had no checksum of its own, and one of all pixels
            fields |= {"block_rows": fields["count"], "blocks": [fields["crc32"][IMAGES]]}
        else:
            fields = unseal(fields)
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise InputError(f"{path / META} is damaged ({error}): pack again") from None
    known = {f.name for f in dataclasses.fields(Meta)}
    meta = build(Meta, {k: v for k, v in fields.items() if k in known}, str(path / META))
    columns = ("image_id", "split", *meta.attribute_names)
    blocks = -(-meta.count // meta.block_rows) if meta.block_rows > 0 else -1
    if min(meta.count, meta.size) < 1 or meta.crop not in CROPS or LABELS not in meta.crc32:
        what = f"{meta.count} images of {meta.size} pixels, {meta.crop}"
        raise InputError(f"{path / META} is damaged: {what}; pack again")
    if len(meta.blocks) != blocks or len(set(columns)) < len(columns):
        raise InputError(f"{path / META} is damaged: its blocks or attributes do not fit together; pack again")
    return meta


class _Labels(NamedTuple):
    """The rows of labels.csv: image_ids and splits [n], labels uint8 [n,a]."""

    ids: Sequence[str]
    splits: Sequence[str]
    attrs: np.ndarray


def _as_written(data: bytes, count: int) -> _Labels | None:
    """The rows of labels.csv with `count` labels each, as `pack` writes them; None where one is otherwise, or quoted.

    By hand, because pandas takes half a second to be imported, which is a fifth of what training imports.
    """
    if b'"' in data or b"\r" in data or not data.endswith(b"\n"):
        return None
    lines, width = data.split(b"\n")[1:-1], 2 * count
    heads = [line[: len(line) - width].decode().split(",") for line in lines]
    tails = b"".join(line[len(line) - width :] for line in lines)
    if len(tails) != width * len(lines) or any(len(head) != 2 for head in heads):
        return None
    letters = np.frombuffer(tails, np.uint8).reshape(len(lines), width)
    attrs = letters[:, 1::2] - np.uint8(ord("0"))
    if (letters[:, ::2] != ord(",")).any() or attrs.max(initial=0) > 1:
        return None
    return _Labels([head[0] for head in heads], [head[1] for head in heads], attrs)


def _as_table(data: bytes, names: Sequence[str]) -> _Labels:
    """The rows of labels.csv in whatever way a CSV may be written."""
    import pandas as pd

    types: Any = {"image_id": str, "split": str, **dict.fromkeys(names, np.uint8)}
    table = pd.read_csv(io.BytesIO(data), dtype=types, keep_default_na=False)  # an id may be "NA"
    return _Labels(table["image_id"].tolist(), table["split"].tolist(), np.asarray(table[list(names)]))


def _read_labels(path: Path, meta: Meta) -> _Labels:
    columns = ["image_id", "split", *meta.attribute_names]
    if not path.is_file():
        raise InputError(f"{path} is missing: pack again")
    data = path.read_bytes()
    if f"{zlib.crc32(data):08x}" != meta.crc32[LABELS]:
        raise InputError(f"{path} is damaged: its {len(data)} bytes are not those that were packed; pack again")
    try:
        found = data.partition(b"\n")[0].decode().split(",")
        if found != columns:
            odd = next((f"{f!r} where {c!r} belongs" for f, c in zip(found, columns, strict=False) if f != c), "")
            raise InputError(
                f"{path} has {len(found)} columns where {META} names {len(columns)}{', ' + odd if odd else ''};"
                " pack again"
            )
        if max(map(len, data.split(b"\n"))) > LONGEST_LINE:
            raise InputError(f"{path} has a line of more than {LONGEST_LINE:,} bytes: pack again")
        labels = _as_written(data, len(meta.attribute_names)) or _as_table(data, meta.attribute_names)
    except InputError:
        raise
    except (ValueError, OverflowError) as error:
        raise InputError(f"{path} is damaged ({str(error).strip()}): pack again") from None
    if len(labels.ids) != meta.count:
        raise InputError(f"{path} has {len(labels.ids)} rows and {META} says {meta.count}: pack again")
    if not set(labels.splits) <= set(SPLITS):
        raise InputError(f"{path} has a split that is not one of {', '.join(SPLITS)}: pack again")
    if max(map(len, labels.ids)) > LONGEST_ID:
        raise InputError(f"{path} has an image_id of more than {LONGEST_ID} characters: pack again")
    if labels.attrs.max(initial=0) > 1:
        raise InputError(f"{path} has a label that is neither 0 nor 1: pack again")
    return labels


def _map_images(path: Path, meta: Meta) -> np.ndarray:
    shape = (meta.count, meta.size, meta.size, 3)
    if not path.is_file():
        raise InputError(f"{path} is missing: pack again")
    with open(path, "rb") as file:
        header = read_header(file, str(path))
        start = file.tell()
    if header.shape != shape or header.dtype != np.uint8 or header.fortran_order:
        raise InputError(
            f"{path} is {header.dtype} {list(header.shape)} and {META} says uint8 {list(shape)}: pack again"
        )
    size, whole = path.stat().st_size, start + header.nbytes
    if size < whole:
        raise InputError(f"{path} is cut: {size} bytes of {whole}; pack again")
    return np.memmap(path, np.uint8, "r", start, shape)
