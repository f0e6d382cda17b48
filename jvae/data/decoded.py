"""A source in; its images, decoded each time they are asked for, out.

For data too large to be packed: Grain's threads or worker processes read and decode ahead of the training.
"""

import contextlib
import math
import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jvae.config import Config
from jvae.data.decode import check_crop, check_size, cores, preprocess
from jvae.data.packed import PackedStore
from jvae.data.source import (
    SPLITS,
    Example,
    Source,
    as_example,
    check_missing,
    check_source,
    check_split,
    checked_labels,
    column_of,
    crop_of_source,
    no_images,
)
from jvae.errors import InputError
from jvae.io.arrays import row_numbers
from jvae.io.files import uri
from jvae.runtime.hashing import epoch_rows

AHEAD = 256 << 20  # bytes of images that wait, at most


class Decoded:
    """The images of a data set as an array uint8 [n,size,size,3], whose rows are decoded when they are asked for.

    Args:
      source: the data set.
      order: int64 [n], which example of the source each row is; None where it is the same.
      size: height and width of the images in pixels.
      crop: how they are cut, see `preprocess`.
      workers: processes that decode in `batches`; 0 decodes with threads of this one.
    """

    def __init__(self, source: Source, order: np.ndarray | None, size: int, crop: str, workers: int = 0) -> None:
        self._source, self._order, self._crop, self._workers = source, order, crop, workers
        self.shape, self.ndim, self.dtype = (len(source), size, size, 3), 4, np.dtype(np.uint8)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """uint8 [...,size,size,3] of rows int [...], or of a mask. InputError: one of them cannot be read."""
        rows = np.asarray(row_numbers(rows, len(self)))
        rows = rows if self._order is None else self._order[rows]
        out = np.empty((rows.size, *self.shape[1:]), np.uint8)
        starts = range(0, rows.size, 64)
        with ThreadPoolExecutor(cores()) as pool:
            for _ in pool.map(
                lambda i: _decode(self._source, rows.flat[i : i + 64], self._crop, out[i : i + 64]), starts
            ):
                pass
        return out.reshape(*rows.shape, *self.shape[1:])

    def batches(
        self, step: int, words: np.ndarray, first: int, n: int, own: np.ndarray, size: int, *, keep: bool = False
    ) -> Iterator[Any]:
        """The images of each step from `step` on, read and decoded ahead, without end: uint8 [b',h,w,3].

        Args:
          step: the first.
          words: uint32 [2], the key of the order.
          first: of the n rows that are gone through.
          n: rows an epoch.
          own: int [b'], which places of a batch are read here.
          size: of a batch.
          keep: what was decoded stays in memory, n images at most, and is not decoded again. Not where processes
            decode, which share no memory.
        """
        import grain  # a second, and only what is not packed needs it
        from absl import flags

        keep = keep and not self._workers
        steps = _Steps(self._source, self._order, self.shape[1], self._crop, words, first, n, own, size, keep)
        ahead = max(2, AHEAD // max(1, len(own) * math.prod(self.shape[1:])))
        data = grain.MapDataset.source(steps)[step:]
        if not self._workers:
            return iter(data.to_iter_dataset(grain.ReadOptions(cores(), min(ahead, 16 * cores()))))
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()  # Grain's, which it reads when it starts processes
        waiting = max(1, min(8, ahead // self._workers))
        options = grain.MultiprocessingOptions(num_workers=self._workers, per_worker_buffer_size=waiting)
        return iter(data.to_iter_dataset(grain.ReadOptions(1, 2)).mp_prefetch(options))


class Labels:
    """The labels of a source as an array bool [n,a], whose rows are read when they are asked for."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.shape, self.ndim, self.dtype = (len(source), len(source.attribute_names)), 2, np.dtype(bool)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Bool [m,a] of rows int [m]. InputError: one of them cannot be read."""
        found = list(_examples(self._source, np.asarray(rows).tolist()))
        return checked_labels([e.attrs for e in found], self._source.attribute_names, [e.image_id for e in found])


class Rows:
    """The integers from `first` to `last`, the latter left out, as an array that takes no memory: int64 [m]."""

    def __init__(self, first: int, last: int, step: int = 1) -> None:
        self._range = range(first, last, step)
        self.shape = (len(self._range),)

    def __len__(self) -> int:
        return len(self._range)

    def __getitem__(self, which: Any) -> Any:
        """An integer's element, a slice's `Rows`, or the elements [...] at an array of integers [...]."""
        if isinstance(which, slice):
            part = self._range[which]
            return Rows(part.start, part.stop, part.step)
        if isinstance(which, np.ndarray):
            return self._range.start + self._range.step * which.astype(np.int64)
        return self._range[which]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.arange(self._range.start, self._range.stop, self._range.step).astype(dtype or np.int64, copy=False)


class DecodedStore:
    """A source as it is: what training and the statistics need of a store (a `Store`).

    Its rows are sorted by split, else they keep the source's order. Of the source's images nothing is held in memory.
    Ids and labels are, unless the source has `ranges`; one that has neither these nor `image_ids`, `splits` and `attrs`
    is read through once, here.

    Attributes:
      path: of the source, or its name where it has none.
      size: height and width of the images in pixels.
      source: what the images are, in words.
      crop: how they are cut.
      images: see `Decoded`.
      attrs: bool [n,a], or see `Labels`.
      attribute_names: of the columns of `attrs`.
      checksum: what the source says, or else CRC-32 of its name and of the names, splits and labels of its images.
    """

    def __init__(
        self, source: Source | str | os.PathLike[str], *, size: int = 64, crop: str = "center", workers: int = 0
    ) -> None:
        """Opens it.

        Args:
          source: any source, or the path of a TFDS data set, see `CelebATFDS`.
          size: to which the images are brought, a multiple of 16.
          crop: how they are cut, see `preprocess`.
          workers: see `Decoded`.

        Raises:
          InputError: an argument is out of range, the source cannot be sent to worker processes or has an attribute or
            a label that is none, or there is no such data set: see `CelebATFDS`.
        """
        check_size(size)
        check_crop(crop)
        if workers < 0:
            raise InputError(f"workers={workers}: give 0 for threads, or the number of processes")
        if isinstance(source, str | os.PathLike):
            from jvae.data.sources.tfds import CelebATFDS  # here, as it imports pandas, which a packed store needs not

            source = CelebATFDS(source)
        check_source(source)
        check_missing(source)
        if workers:
            _check_can_be_sent(source, workers)
        self.path, self.size = Path(getattr(source, "path", source.name)), size
        self.source, self.attribute_names = source.name, tuple(source.attribute_names)
        self.crop = crop_of_source(source.name, crop)
        order, self._ranges, attrs, self.checksum = _catalogue(source)
        self.attrs: Any = attrs
        self.images: Any = Decoded(source, order, size, crop, workers)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def streamed(self) -> bool:
        """Yes: the images are decoded each time they are asked for."""
        return True

    def indices(self, split: str, /) -> Any:
        """The `Rows` of `split`. InputError: no such split, or no images in it."""
        if split not in self._ranges:
            raise no_images(self.path, split, {s: last - first for s, (first, last) in self._ranges.items()})
        return Rows(*self._ranges[split])

    def attribute(self, name: str, /) -> int:
        """The column of attribute `name`; InputError with the nearest names when it is not there."""
        return column_of(name, self.attribute_names)

    def verify(self, *rows: Any) -> None:
        """Nothing beforehand: what is damaged is found when it is read."""

    def verified(self, *rows: Any) -> contextlib.AbstractContextManager[None]:
        """As `verify`."""
        return contextlib.nullcontext()


class _Catalogue(NamedTuple):
    """What is known of all examples of a source, sorted by split."""

    order: np.ndarray | None  # int64 [n], None where the source is sorted
    ranges: dict[str, tuple[int, int]]  # the first row of a split and the first after it
    attrs: Any  # bool [n,a]
    checksum: str


def _catalogue(source: Any) -> _Catalogue:
    n = len(source)
    if hasattr(source, "ranges") and hasattr(source, "checksum"):
        for split in source.ranges:
            check_split(split, f"{source.name}, in its ranges,")
        ends = [0, *(end for span in sorted(source.ranges.values()) for end in span), n]
        if ends != sorted(ends):
            what = f"{n} images has the ranges {source.ranges}"
            raise InputError(f"the source {source.name} of {what}: give rows that there are, each in one range")
        return _Catalogue(
            None, {s: r for s, r in source.ranges.items() if r[0] < r[1]}, Labels(source), source.checksum
        )
    if all(hasattr(source, member) for member in ("image_ids", "splits", "attrs")):
        ids, splits, labels = source.image_ids, source.splits, source.attrs
        if lengths := {len(ids), len(splits), len(labels)} - {n}:
            what = f"{n} images, and image_ids, splits or attrs of {lengths.pop()}"
            raise InputError(f"the source {source.name} has {what}: give one for each image")
    else:
        with ThreadPoolExecutor(cores()) as pool:  # each image is let go at once
            labels, ids, splits = zip(*pool.map(lambda i: as_example(source[i], i)[1:], range(n)), strict=True)
    return _Catalogue(*_sorted(source, list(map(str, ids)), list(splits), labels))


def _sorted(source: Source, ids: list[str], splits: list[str], labels: Any) -> tuple[Any, ...]:
    for image_id, split in zip(ids, splits, strict=True):
        check_split(split, image_id)
    splits = list(map(str, splits))
    attrs = checked_labels(labels, source.attribute_names, ids)
    order = np.argsort([SPLITS.index(split) for split in splits], kind="stable")
    ends = np.cumsum([0, *(splits.count(split) for split in SPLITS)]).tolist()
    ranges = {s: (a, b) for s, a, b in zip(SPLITS, ends[:-1], ends[1:], strict=True) if b > a}
    crc = zlib.crc32(repr((source.name, source.attribute_names)).encode())
    crc = zlib.crc32("\0".join([*ids, *splits]).encode("utf-8", "surrogateescape"), crc)
    return order, ranges, attrs[order], f"{zlib.crc32(np.packbits(attrs).tobytes(), crc):08x}"


def _check_can_be_sent(source: Source, workers: int) -> None:
    try:
        ForkingPickler.dumps(source)
    except Exception as error:  # whatever its members raise
        raise InputError(
            f"workers={workers}: {source.name} cannot be sent to processes ({error}): give 0, for threads"
        ) from None


class _Steps:
    """What a worker process is sent: `steps[i]` are the images of step i, uint8 [b',h,w,3].

    With `keep` an image that is there is not decoded again; the memory is taken as it fills. Two threads that want an
    image at once, where epochs meet, may both decode it, to the same pixels.
    """

    def __init__(
        self,
        source: Source,
        order: np.ndarray | None,
        size: int,
        crop: str,
        words: np.ndarray,
        first: int,
        n: int,
        own: np.ndarray,
        batch_size: int,
        keep: bool,
    ) -> None:
        self._source, self._size, self._crop = source, size, crop
        self._order = None if order is None else order[first : first + n]
        self._words, self._first, self._n, self._own, self._batch_size = words, first, n, own, batch_size
        self._kept = (np.empty((n, size, size, 3), np.uint8), np.zeros(n, bool)) if keep else None

    def __len__(self) -> int:
        return 2**31 - 1  # steps there can be

    def __getitem__(self, index: int) -> np.ndarray:
        rows = epoch_rows(self._words, int(index), self._n, self._batch_size)[self._own]
        if self._kept is None:
            return self._decoded(rows)
        images, there = self._kept
        lacking = rows[~there[rows]]
        images[lacking] = self._decoded(lacking)
        there[lacking] = True  # another thread may read them from here on, not before
        return images[rows]

    def _decoded(self, rows: np.ndarray) -> np.ndarray:
        rows = self._first + rows if self._order is None else self._order[rows]
        out = np.empty((len(rows), self._size, self._size, 3), np.uint8)
        _decode(self._source, rows, self._crop, out)
        return out


def _decode(source: Source, rows: np.ndarray, crop: str, out: np.ndarray) -> None:
    """The images at `rows` [m] into `out` [m,size,size,3]."""
    for i, example in enumerate(_examples(source, rows.tolist())):
        out[i] = preprocess(example.image, out.shape[1], crop, example.image_id)


def _examples(source: Any, rows: list[int]) -> Iterator[Example]:
    count = 0
    for found in source.examples(rows) if hasattr(source, "examples") else map(source.__getitem__, rows):
        count += 1
        if count <= len(rows):
            yield as_example(found, rows[count - 1])
    if count != len(rows):
        raise InputError(f"the source {source.name} gave {count} examples for {len(rows)} rows: give one for each")


def open_data(
    path: str | os.PathLike[str], cfg: Config, crop: str | None = None, workers: int = 0
) -> PackedStore | DecodedStore:
    """The packed store at `path`, or the TFDS data set that is there, with images of the size that `cfg` says.

    Args:
      path: of either.
      cfg: of the run.
      crop: of a data set; None is what is usual with `cfg`.
      workers: processes that decode a data set.

    Raises:
      InputError: there is neither, or `crop` or `workers` were given for a packed store.
    """
    if is_packed(path):
        if crop is not None or workers:
            raise InputError(f"{path} is packed: --crop and --workers are for a data set that is not")
        return PackedStore.open(path)
    crop = crop or ("squash" if cfg.preset == "book" else "center")
    return DecodedStore(path, size=cfg.model.image_size, crop=crop, workers=workers)


def is_packed(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is to be taken for a packed store, and not for a data set of TFDS."""
    if uri(path):
        return False
    folders = (Path(path), *Path(path).glob("celeb_a*"))
    return not any(next(f.glob(f"{depth}dataset_info.json"), None) for f in folders for depth in ("", "*/", "*/*/"))
