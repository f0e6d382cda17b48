"""A TFDS data set in; its images, decoded each time they are asked for, out.

For data too large to be packed: Grain's threads or worker processes read and decode ahead of the training.
"""

import contextlib
import functools
import math
import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from jvae.config import Config
from jvae.data.decode import check_crop, check_size, cores, preprocess
from jvae.data.packed import PackedStore
from jvae.data.sources.tfds import CelebATFDS
from jvae.errors import InputError, unknown
from jvae.io.buckets import place
from jvae.io.files import uri
from jvae.runtime.hashing import epoch_rows

AHEAD = 256 << 20  # bytes of images that wait, at most


class Decoded:
    """The images of a data set as an array uint8 [n,size,size,3], whose rows are decoded when they are asked for.

    Args:
      source: the data set.
      path: where it was opened, for worker processes to open it too.
      size: height and width of the images in pixels.
      crop: how they are cut, see `preprocess`.
      workers: processes that decode in `batches`; 0 decodes with threads of this one.
    """

    def __init__(self, source: CelebATFDS, path: Path, size: int, crop: str, workers: int = 0) -> None:
        self._source, self._path, self._crop, self._workers = source, path, crop, workers
        self.shape, self.ndim, self.dtype = (len(source), size, size, 3), 4, np.dtype(np.uint8)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """uint8 [...,size,size,3] of rows int [...]. InputError: one of them cannot be read."""
        rows = np.asarray(rows)
        out = np.empty((rows.size, *self.shape[1:]), np.uint8)
        starts = range(0, rows.size, 64)
        with ThreadPoolExecutor(cores()) as pool:
            for _ in pool.map(
                lambda i: _decode(self._source, rows.flat[i : i + 64], self._crop, out[i : i + 64]), starts
            ):
                pass
        return out.reshape(*rows.shape, *self.shape[1:])

    def batches(self, step: int, words: np.ndarray, first: int, n: int, own: np.ndarray, size: int) -> Iterator[Any]:
        """The images of each step from `step` on, read and decoded ahead, without end: uint8 [b',h,w,3].

        Args:
          step: the first.
          words: uint32 [2], the key of the order.
          first: of the n rows that are gone through.
          n: rows an epoch.
          own: int [b'], which places of a batch are read here.
          size: of a batch.
        """
        import grain  # a second, and only what is not packed needs it
        from absl import flags

        steps = _Steps(self._path, self.shape[1], self._crop, words, first, n, own, size)
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
    """The labels of a data set as an array bool [n,a], whose rows are read when they are asked for."""

    def __init__(self, source: CelebATFDS) -> None:
        self._source = source
        self.shape, self.ndim, self.dtype = (len(source), len(source.attribute_names)), 2, np.dtype(bool)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Bool [m,a] of rows int [m]. InputError: one of them cannot be read."""
        found = [example.attrs for example in self._source.examples(np.asarray(rows).tolist())]
        return np.array(found, bool).reshape(len(found), self.shape[1])


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
    """A prepared CelebA data set of TFDS as it is: what training and the statistics need of a store.

    Nothing of it is held in memory, however large it is.

    Attributes:
      path: as it was given.
      size: height and width of the images in pixels.
      images: see `Decoded`.
      attrs: see `Labels`.
      attribute_names: of the columns of `attrs`.
    """

    def __init__(self, path: str | os.PathLike[str], *, size: int, crop: str = "center", workers: int = 0) -> None:
        """Opens it.

        Args:
          path: as for `CelebATFDS`.
          size: to which the images are brought, a multiple of 16.
          crop: how they are cut, see `preprocess`.
          workers: see `Decoded`.

        Raises:
          InputError: an argument is out of range, or there is no such data set: see `CelebATFDS`.
        """
        check_size(size)
        check_crop(crop)
        if workers < 0:
            raise InputError(f"workers={workers}: give 0 for threads, or the number of processes")
        self.path, self.size = place(path), size
        self._source = CelebATFDS(path)
        self.images: Any = Decoded(self._source, self.path, size, crop, workers)
        self.attrs: Any = Labels(self._source)
        self.attribute_names = self._source.attribute_names

    def __len__(self) -> int:
        return len(self._source)

    @property
    def checksum(self) -> str:
        """CRC-32 of what TFDS says of the data set: its shards, how many examples and bytes each split has."""
        return f"{zlib.crc32((self._source.directory / 'dataset_info.json').read_bytes()):08x}"

    def indices(self, split: str) -> Any:
        """The `Rows` of `split`. InputError: no such split, or no images in it."""
        if split not in self._source.splits:
            raise unknown("split", split, tuple(self._source.splits))
        return Rows(*self._source.splits[split])

    def attribute(self, name: str) -> int:
        """The column of attribute `name`; InputError with the nearest names when it is not there."""
        if name not in self.attribute_names:
            raise unknown("attribute", name, self.attribute_names)
        return self.attribute_names.index(name)

    def verify(self, *rows: Any) -> None:
        """Nothing beforehand: each record carries a checksum, which is looked at when it is read."""

    def verified(self, *rows: Any) -> contextlib.AbstractContextManager[None]:
        """As `verify`."""
        return contextlib.nullcontext()


class _Steps:
    """What a worker process is sent: `steps[i]` are the images of step i, uint8 [b',h,w,3]."""

    def __init__(
        self, path: Path, size: int, crop: str, words: np.ndarray, first: int, n: int, own: np.ndarray, batch_size: int
    ) -> None:
        self._path, self._size, self._crop = path, size, crop
        self._words, self._first, self._n, self._own, self._batch_size = words, first, n, own, batch_size

    def __len__(self) -> int:
        return 2**31 - 1  # steps there can be

    def __getitem__(self, index: int) -> np.ndarray:
        rows = self._first + epoch_rows(self._words, int(index), self._n, self._batch_size)[self._own]
        out = np.empty((len(rows), self._size, self._size, 3), np.uint8)
        _decode(_opened(self._path), rows, self._crop, out)
        return out


def _decode(source: CelebATFDS, rows: np.ndarray, crop: str, out: np.ndarray) -> None:
    """The images at `rows` [m] into `out` [m,size,size,3]."""
    for i, example in enumerate(source.examples(rows.tolist())):
        out[i] = preprocess(example.image, out.shape[1], crop, example.image_id)


@functools.cache
def _opened(path: Path) -> CelebATFDS:
    return CelebATFDS(path)


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
    return DecodedStore(path, size=cfg.image_size, crop=crop, workers=workers)


def is_packed(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is to be taken for a packed store, and not for a data set of TFDS."""
    if uri(path):
        return False
    folders = (Path(path), *Path(path).glob("celeb_a*"))
    return not any(next(f.glob(f"{depth}dataset_info.json"), None) for f in folders for depth in ("", "*/", "*/*/"))
