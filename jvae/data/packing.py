"""Packing: every image of a source decoded once, by all cores, into a store that appears whole or not at all."""

import contextlib
import dataclasses
import json
import os
import shutil
import zlib
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jvae.data.decode import check_crop, check_size, cores, decode
from jvae.data.resize import TOGETHER, resize
from jvae.data.source import SPLITS, Source, as_example, as_id, check_source, check_split, checked_labels
from jvae.errors import InputError
from jvae.io.files import locked, replacing, seal, tidy

FORMAT = 2  # raised when an older jvae could not read the store; 1 had one checksum of all pixels
IMAGES, LABELS, META = "images.npy", "labels.csv", "meta.json"

LONGEST_ID = 255  # characters of an image_id, as of a file's name; all of a store take the longest's memory

_BLOCK = 16 << 20  # bytes of pixels under one checksum
_CHUNK = 64  # images a task: some 15 ms of work, far more than a task costs
_LARGE = 16 << 20  # bytes of an image's pixels above which it is not kept for the next
_RENDER = 512  # images a call of `render`
_NAMED = 10  # broken images that an error names


@dataclasses.dataclass(frozen=True)
class Meta:
    """What is known of a store as a whole; its meta.json.

    Attributes:
      format: the version of the layout.
      source: what the images are: "CelebA folder".
      count: images in the store; `counts` has them by split.
      source_count: images in the source, of which these are an even sample if there were more.
      size: height and width in pixels.
      crop: one of CROPS.
      attribute_names: the columns of labels.csv after image_id and split.
      missing: images that the source's table names and the source lacks.
      skipped: by image id, why it was left out.
      crc32: CRC-32 of labels.csv, as eight hex digits.
      block_rows: images under one checksum.
      blocks: CRC-32 of the pixels of each `block_rows` images in turn; the last block may hold fewer.
    """

    source: str
    count: int
    counts: dict[str, int]
    source_count: int
    size: int
    crop: str
    attribute_names: tuple[str, ...]
    missing: int
    skipped: dict[str, str]
    crc32: dict[str, str]
    block_rows: int
    blocks: tuple[str, ...]
    format: int = FORMAT


class _Rows(NamedTuple):
    """Some decoded images in the source's order; `bad` are those that could not be, with the reason."""

    images: np.ndarray  # uint8 [b,size,size,3]
    attrs: np.ndarray  # bool [b,a]
    ids: list[str]
    splits: list[str]
    bad: dict[str, str]
    done: int  # images looked at


def write_store(
    source: Source,
    out: str | os.PathLike[str],
    *,
    size: int,
    crop: str,
    count: int | None = None,
    skip_bad: bool = False,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = True,
    read: Callable[[Path], object],
) -> None:
    """Writes a packed store of `source` to the directory `out`; see `jvae.data.packed.pack`. `read` opens it before."""
    out = Path(out)
    check_size(size)
    check_crop(crop)
    check_source(source)
    total = len(source)
    count = total if count is None else count
    if not 0 < count <= total:
        raise InputError(f"count={count} of a source that has {total} images: give 1 to {total}")
    if workers is not None and workers < 1:
        raise InputError(f"workers={workers}: give 1 or more, or none for all cores")
    # One of each of `count` stretches, so that the splits keep their shares: also those that come at even distances.
    edges = np.arange(count + 1, dtype=np.int64) * total // count
    indices = edges[:-1] + (np.random.default_rng(0).random(count) * np.diff(edges)).astype(np.int64)
    with locked(out.with_name(f".{out.name}.lock"), out), _new_directory(out, overwrite) as part:
        _check_space(out.parent, count * (size * size * 3 + 128))
        part.mkdir()
        from tqdm import tqdm  # here, so that a store opens where it is not installed

        bar = tqdm(total=count, unit="image", unit_scale=True, desc="pack", disable=None if progress else True)
        with bar, contextlib.closing(_decoded(source, indices, size, crop, workers)) as blocks:
            meta = _write(part, blocks, source, size, crop, skip_bad, bar)
        (part / META).write_text(json.dumps(seal(dataclasses.asdict(meta)), indent=2) + "\n", encoding="utf-8")
        read(part)


def _write(part: Path, blocks: Iterator[_Rows], source: Source, size: int, crop: str, skip_bad: bool, bar: Any) -> Meta:
    ids: list[str] = []
    splits: list[str] = []
    attrs: list[np.ndarray] = []
    bad: dict[str, str] = {}
    sums = _BlockSums(max(1, _BLOCK // (size * size * 3)))
    # Written in order with write(), not through a memory map, where a full disk would be a SIGBUS and not an OSError.
    with open(part / IMAGES, "wb") as file:
        _write_header(file, bar.total, size)
        for rows in blocks:
            bad.update(rows.bad)
            if skip_bad or not bad:  # after a bad one the rest is only looked through, to name them all
                pixels = np.ascontiguousarray(rows.images).data
                sums.add(pixels)
                file.write(pixels)
                _start_writing(file, pixels.nbytes)
                ids += rows.ids
                splits += rows.splits
                attrs.append(rows.attrs)
            bar.update(rows.done)
        if bad and not (skip_bad and ids):
            named = "; ".join(list(bad.values())[:_NAMED])
            more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
            way = "none is left" if skip_bad else "mend them, or leave them out with --skip-bad"
            raise InputError(f"{len(bad)} of {bar.total} images cannot be packed: {named}{more}; {way}")
        file.seek(0)
        _write_header(file, len(ids), size)
        file.flush()
        os.fsync(file.fileno())
    counts = {s: splits.count(s) for s in SPLITS}
    if len(set(ids)) < len(ids):
        twice = next(i for i, n in Counter(ids).items() if n > 1)
        raise InputError(f"the source has more than one image called {twice}: names must differ")
    text = _labels_text(ids, splits, np.concatenate(attrs), source.attribute_names)
    (part / LABELS).write_bytes(text)
    return Meta(
        source=source.name,
        count=len(ids),
        counts=counts,
        source_count=len(source),
        size=size,
        crop=crop,
        attribute_names=tuple(source.attribute_names),
        missing=int(getattr(source, "missing", 0)),
        skipped=bad,
        crc32={LABELS: f"{zlib.crc32(text):08x}"},
        block_rows=sums.rows,
        blocks=sums.close(),
    )


class _BlockSums:
    """The checksums of `Meta.blocks`, from images that come in order, any number at a time."""

    def __init__(self, rows: int) -> None:
        self.rows, self._filled, self._crc = rows, 0, 0
        self._found: list[str] = []

    def add(self, images: memoryview) -> None:
        """Adds contiguous uint8 images [n,h,w,3]."""
        while len(images):
            part, images = images[: self.rows - self._filled], images[self.rows - self._filled :]
            self._crc, self._filled = zlib.crc32(part, self._crc), self._filled + len(part)
            if self._filled == self.rows:
                self._end()

    def close(self) -> tuple[str, ...]:
        """All of them."""
        if self._filled:
            self._end()
        return tuple(self._found)

    def _end(self) -> None:
        self._found.append(f"{self._crc:08x}")
        self._filled = self._crc = 0


def _write_header(file: Any, count: int, size: int) -> None:
    # NumPy pads the header so that the first axis can change without moving the data.
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, size, size, 3)}
    np.lib.format.write_array_header_1_0(file, header)


def _start_writing(file: Any, count: int) -> None:
    # The disk begins on the last `count` bytes now, and the sync at the end has nothing left to wait for.
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), file.tell() - count, count, os.POSIX_FADV_DONTNEED)


def _labels_text(ids: list[str], splits: list[str], attrs: np.ndarray, names: tuple[str, ...]) -> bytes:
    # By hand, because 200,000 rows of 40 digits take pandas two seconds.
    digits = np.full((len(ids), 2 * len(names) + 1), ord(","), np.uint8)
    digits[:, 1::2] = attrs + np.uint8(ord("0"))
    digits[:, -1] = ord("\n")
    width, tails = digits.shape[1], digits.tobytes().decode()
    lines = [",".join(["image_id", "split", *names]) + "\n"]
    for i, (image_id, split) in enumerate(zip(ids, splits, strict=True)):
        if any(c in image_id for c in ',"\r\n'):
            image_id = '"' + image_id.replace('"', '""') + '"'
        lines.append(f"{image_id},{split}{tails[width * i : width * (i + 1)]}")
    return "".join(lines).encode()


def _decoded(source: Any, indices: np.ndarray, size: int, crop: str, workers: int | None) -> Generator[_Rows]:
    """The images at `indices`, in that order, a block at a time."""
    if hasattr(source, "render") and source.size == size:
        for start in range(0, len(indices), _RENDER):
            block = indices[start : start + _RENDER]
            names, splits = [], []
            for i in block.tolist():
                names.append(as_id(source.image_id(i), i))
                splits.append(source.split(i))
                _check_id(names[-1], i)
                check_split(splits[-1], names[-1])
            attrs = checked_labels(source.labels(block), source.attribute_names, names)
            images, shape = np.asarray(source.render(block)), (len(block), size, size, 3)
            if images.dtype != np.uint8 or images.shape != shape:
                found = f"{images.dtype} {list(images.shape)}"
                raise InputError(f"render of the source {source.name} gave {found}: give uint8 {list(shape)}")
            yield _Rows(images, attrs, names, splits, {}, len(block))
        return
    # Threads: libjpeg and Pillow's resize release the GIL, and processes were no faster and each would import JAX.
    workers = workers or cores()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="pack")
    waiting: deque[Future[_Rows]] = deque()
    try:
        for start in range(0, len(indices), _CHUNK):
            waiting.append(pool.submit(_decode, source, indices[start : start + _CHUNK], size, crop))
            if len(waiting) > 4 * workers:  # bounds the memory when the disk is slower than the decoder
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _decode(source: Source, indices: np.ndarray, size: int, crop: str) -> _Rows:
    attrs, ids, splits, bad = [], [], [], {}
    images = np.empty((len(indices), size, size, 3), np.uint8)
    alike: list[np.ndarray] = []  # decoded, of one shape and box, and not yet resized
    box = (0.0, 0.0, 0.0, 0.0)
    for i in indices.tolist():
        image_id = f"image {i}"
        try:
            image, row, image_id, split = as_example(source[i], i)
            _check_id(image_id, i)
            pixels, new_box = decode(image, size, crop, image_id)
        except InputError as error:
            bad[image_id] = str(error)
            continue
        check_split(split, image_id)
        together = TOGETHER if pixels.nbytes < _LARGE else 1
        if alike and (len(alike) >= together or alike[0].shape != pixels.shape or box != new_box):
            images[len(ids) - len(alike) : len(ids)] = resize(np.stack(alike), size, box)
            alike = []
        alike.append(pixels)
        box = new_box
        attrs.append(row)
        ids.append(image_id)
        splits.append(split)
    if alike:
        images[len(ids) - len(alike) : len(ids)] = resize(np.stack(alike), size, box)
    attrs = checked_labels(attrs, source.attribute_names, ids)
    return _Rows(images[: len(ids)], attrs, ids, splits, bad, len(indices))


def _check_id(image_id: str, row: int) -> None:
    if not 0 < len(image_id) <= LONGEST_ID or "\0" in image_id:
        raise InputError(f"image {row} has a name of {len(image_id)} characters: 1 to {LONGEST_ID} will do")
    if not image_id.isascii() and any("\ud800" <= c <= "\udfff" for c in image_id):
        raise InputError(f"image {row} has the name {image_id!r}, which is not in UTF-8: rename it")


@contextlib.contextmanager
def _new_directory(out: Path, overwrite: bool) -> Iterator[Path]:
    """Yields the directory to fill, which becomes `out` at the end; a store there before stays until then."""
    tidy(out)
    if out.exists():
        if not overwrite:
            raise InputError(f"{out} exists: give another --out, or --overwrite to replace it")
        if not (out / META).is_file():
            raise InputError(f"{out} is no packed store, so it is not overwritten: give another --out")
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    try:
        with replacing(out) as part:
            yield part
            if out.exists():
                out.rename(old)
    except BaseException:
        if old.exists() and not out.exists():
            old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _check_space(folder: Path, needed: int) -> None:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"the store needs {needed / 1e9:.2f} GB and {folder} has {free / 1e9:.2f} GB free: make room, or pack fewer"
            " images (--count) or smaller ones (--size)"
        )
