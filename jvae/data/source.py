"""What pictures come from, and what training reads them from: the contracts `Source` and `Store`, and their checks."""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from jvae.errors import InputError, unknown

SPLITS: tuple[str, ...] = ("train", "validation", "test")  # as 0, 1, 2 of CelebA's partition table
LONGEST_LINE = 100_000  # bytes of a row of labels; one of millions of fields takes pandas minutes


class Example(NamedTuple):
    """One face and what is known of it."""

    image: np.ndarray | bytes  # uint8 [h,w,3], or the bytes of an encoded file
    attrs: np.ndarray  # bool [a], or numbers 0 and 1
    image_id: str
    split: str  # one of SPLITS


class Source(Protocol):
    """Random access to faces, in an order that never changes: what is packed, or decoded while a model trains.

    `name` says in a few words what it is (it goes into a store's meta file, so no paths). `source[i]` may raise
    `InputError` for an example that cannot be read; the others stay readable. It may be called from many threads.
    A source that is to be decoded by worker processes can be sent to them: it pickles.

    These four members are all that a source needs. Where one has more, it is used:
      examples(rows)               several examples at once, in turn: from far away, where each takes long.
      image_ids, splits, attrs     arrays str [n], str [n] and bool [n,a]: streaming then reads no example beforehand.
      ranges, checksum             split -> its first row and the first after it, of a source sorted by SPLITS, and a
                                   text that changes with the data: streaming then holds nothing in memory.
      render(rows), labels(rows), image_id(row), split(row), size
                                   a source that draws: images uint8 [b,size,size,3] and bool [b,a] by the batch.
      path                         where it is, for messages and records.
      message                      a line to show before packing; may be empty.
      missing                      how many images a table of labels names that are not there.
    """

    @property
    def name(self) -> str:
        """What it is."""
        ...

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """What the columns of an example's `attrs` are; there may be none."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Example: ...


class Store(Protocol):
    """What training and the statistics need of images with labels, packed or decoded on the way.

    Rows are arrays int64, or what turns into one (`numpy.asarray`) and takes slices. What it may have besides:
      source       what the images are, in words, as a source's `name`.
      crop         how they were cut, one of `jvae.data.decode.CROPS`. A run remembers both, see `DataId`.
    """

    @property
    def path(self) -> Path:
        """Where it is, for messages and records."""
        ...

    @property
    def size(self) -> int:
        """Height and width of the images in pixels."""
        ...

    @property
    def streamed(self) -> bool:
        """Whether `images` are decoded each time they are asked for, and `images.batches` does so ahead."""
        ...

    @property
    def images(self) -> Any:
        """An array uint8 [n,h,w,3], or what is indexed by rows like one."""
        ...

    @property
    def attrs(self) -> Any:
        """An array bool [n,a], or what is indexed by rows like one."""
        ...

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """What the columns of `attrs` are."""
        ...

    @property
    def checksum(self) -> str:
        """Two stores that have the same are the same data."""
        ...

    def __len__(self) -> int: ...

    def indices(self, split: str, /) -> Any:
        """The rows of `split`, at least one. InputError: there is no such split, or nothing in it."""
        ...

    def attribute(self, name: str, /) -> int:
        """The column of attribute `name`. InputError: there is none, and the nearest names."""
        ...

    def verify(self, *rows: Any) -> None:
        """Looks whether the images at these rows, or all, are undamaged. InputError: they are not."""
        ...

    def verified(self, *rows: Any) -> contextlib.AbstractContextManager[None]:
        """Does `verify` beside what the block does, and ends with what it raises."""
        ...


@dataclasses.dataclass(frozen=True)
class DataId:
    """What a run remembers of the store that it was trained on.

    Attributes:
      source: what the images are, in words.
      crop: how they were cut.
      checksum: of the store.
    """

    source: str
    crop: str
    checksum: str

    @classmethod
    def of(cls, store: Any) -> "DataId | None":
        """That of a store; None where the store does not say what it holds."""
        if not hasattr(store, "source") or not hasattr(store, "crop"):
            return None
        return cls(*map(str, (store.source, store.crop, store.checksum)))


def crop_of_source(source: str, crop: str) -> str:
    """How the images of a source are cut, by its name: rendered faces are not, and have a frame of their own."""
    return "rendered" if source == "rendered" else crop


def check_attribute_names(names: Sequence[str]) -> None:
    """Raises InputError for a name that a table of labels, a file's name or a joint column could not keep."""
    rules = (
        (lambda n: not isinstance(n, str) or not n, "is empty"),
        (lambda n: n != n.strip(), "begins or ends with a blank"),
        (lambda n: "," in n or '"' in n, "holds a comma or a quote, which part the labels' table"),
        (lambda n: "&" in n, "holds &, which joins two attributes in one column"),
        (lambda n: "/" in n, "holds /, which parts folders in the names of pictures"),
        (lambda n: not n.isprintable(), "holds a character that does not print, such as a line break"),
        (lambda n: n in ("image_id", "split"), "is the name of another column of the labels' table"),
    )
    for name in names:
        if broken := next((why for test, why in rules if test(name)), None):
            raise InputError(f"attribute {name!r} {broken}: rename it")
    if twice := [name for name, n in Counter(names).items() if n > 1]:
        raise InputError(f"attribute {twice[0]!r} is there twice: rename one")
    if (length := sum(len(name.encode()) + 1 for name in names)) > (most := LONGEST_LINE - 2000):  # and an image_id
        raise InputError(f"{len(names)} attributes have names of {length:,} bytes, more than {most:,}: use fewer")


def checked_labels(attrs: Any, names: Sequence[str], ids: Sequence[str]) -> np.ndarray:
    """Labels as bool [n,a].

    Args:
      attrs: of n examples: booleans, or the numbers 0 and 1.
      names: a names, of the columns.
      ids: n image_ids, for messages.

    Raises:
      InputError: a label is anything else (-1, .9, NaN, a text), or there are more or fewer than `names`.
    """
    try:
        table = np.asarray(attrs)
        if table.dtype.kind in "USO":
            table = np.asarray(attrs, object)  # one text among numbers makes all of them texts
    except ValueError:  # rows of several lengths
        table = np.array([None])
    if table.size == 0 and len(ids) * len(names) == 0:
        return np.zeros((len(ids), len(names)), bool)
    if table.shape != (len(ids), len(names)):
        rows = zip(ids, attrs, strict=False)
        image, count = next(((i, np.size(row)) for i, row in rows if np.size(row) != len(names)), (ids[0], "odd"))
        raise InputError(f"image {image} has {count} labels and the source {len(names)} attributes: give one for each")
    if table.dtype == bool:
        return table
    with np.errstate(invalid="ignore"):
        fine = (table == 0) | (table == 1)
    if not np.all(fine):
        row, column = np.argwhere(~fine)[0]
        value = table[row, column]
        shown = repr(value) if table.dtype == object else value
        raise InputError(f"image {ids[row]} has {shown} for {names[column]}: a label is False or True, or 0 or 1")
    return table == 1


def check_split(split: str, image_id: str) -> None:
    """Raises InputError unless `split`, which image `image_id` says it is of, is one of SPLITS."""
    if split not in SPLITS:
        raise InputError(f"image {image_id} is of the split {split!r}: a split is {', '.join(SPLITS)}")


def column_of(name: str, names: Sequence[str]) -> int:
    """The place of attribute `name` among `names`; InputError with the nearest when it is not there."""
    if not names:
        raise InputError(f"unknown attribute {name!r}: the data has none; pack it with labels")
    if name not in names:
        raise unknown("attribute", name, names)
    return list(names).index(name)
