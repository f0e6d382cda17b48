"""What pictures come from, and what training reads them from: the contracts `Source` and `Store`, and their checks."""

import contextlib
import dataclasses
import numbers
import warnings
from collections import Counter
from collections.abc import Collection, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from jvae.errors import InputError, InputWarning, unknown

SPLITS: tuple[str, ...] = ("train", "validation", "test")  # as 0, 1, 2 of CelebA's partition table
LONGEST_LINE = 100_000  # bytes of a row of labels; one of millions of fields takes pandas minutes


class Example(NamedTuple):
    """One face and what is known of it."""

    image: Any  # uint8 [h,w,3], an image of Pillow's, or the bytes or path of an encoded file
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


def check_source(source: Any) -> None:
    """Raises InputError unless it has the members of a `Source`, a name, images, and names that attributes may have."""
    lacking = [m for m in ("name", "attribute_names", "__len__", "__getitem__") if not hasattr(source, m)]
    if lacking:
        what = f"a {type(source).__name__} has no {lacking[0]}"
        raise InputError(f"{what}, as a source has (see jvae.Source): give one, or the path of a folder of images")
    if not isinstance(source.name, str):
        raise InputError(f"the source has the name {source.name!r}: give it a text, of a few words")
    if not len(source):
        raise InputError(f"the source {source.name} has no images")
    check_attribute_names(source.attribute_names)


def no_images(where: object, split: str, counts: Mapping[str, int]) -> InputError:
    """An `InputError` for `split`, of which there is none `where`; `counts` are the images there are of each split."""
    if split not in SPLITS:
        return unknown("split", split, SPLITS)
    there = ", ".join(f"{n} {s}" for s, n in counts.items() if n)
    return InputError(
        f"{where} has no {split} images (it has {there}): give data that has, as jvae pack folder makes of any images,"
        " or name another split to a command that takes one"
    )


def check_attribute_names(names: Collection[str]) -> None:
    """Raises InputError for a name that a table of labels, a file's name or a joint column could not keep."""
    rules = (
        (lambda n: not isinstance(n, str), "is no text"),
        (lambda n: not n, "is empty"),
        (lambda n: n != n.strip(), "begins or ends with a blank"),
        (lambda n: "," in n or '"' in n, "holds a comma or a quote, which part the labels' table"),
        (lambda n: "&" in n, "holds &, which joins two attributes in one column"),
        (lambda n: "/" in n, "holds /, which parts folders in the names of pictures"),
        (lambda n: not n.isprintable(), "holds a character that does not print, such as a line break"),
        (lambda n: n in ("image_id", "split"), "is the name of another column of the labels' table"),
    )
    if isinstance(names, str | Set) or not isinstance(names, Collection):  # a set has no order
        raise InputError(f"attribute_names is the {type(names).__name__} {names!r}: give a tuple of names")
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
      attrs: of n examples: booleans, or the numbers 0 and 1; of one attribute, also without a row around each.
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
    if len(names) == 1 and table.shape == (len(ids),):
        table = table[:, None]
    if table.shape != (len(ids), len(names)):
        rows = zip(ids, attrs, strict=False)
        counted = ((i, np.asarray(row, object).size) for i, row in rows)  # rows may be ragged themselves
        image, count = next(((i, n) for i, n in counted if n != len(names)), (ids[0], "odd"))
        raise InputError(f"image {image} has {count} labels and the source {len(names)} attributes: give one for each")
    if table.dtype == bool:
        return table
    if table.dtype == object:  # where pandas's NA is neither equal to 0 nor not
        fine = np.vectorize(lambda v: isinstance(v, numbers.Real | np.bool_) and v in (0, 1), otypes=[bool])(table)
    else:
        fine = (table == 0) | (table == 1)
    if not np.all(fine):
        row, column = np.argwhere(~fine)[0]
        value = table[row, column]
        shown = repr(value) if table.dtype == object else value
        raise InputError(f"image {ids[row]} has {shown} for {names[column]}: a label is False or True, or 0 or 1")
    return table == 1


def as_example(found: Any, row: int) -> Example:
    """What a source gave as its example `row`, whose id may be a number; InputError when it is none."""
    if not isinstance(found, tuple | list) or len(found) != len(Example._fields):
        what = type(found).__name__
        raise InputError(f"example {row} of the source is a {what}: give an Example({', '.join(Example._fields)})")
    image, attrs, image_id, split = found
    return Example(image, attrs, as_id(image_id, row), split)


def as_id(image_id: Any, row: int) -> str:
    """The image_id of example `row`, which may be a number, as a text; InputError when it is neither."""
    if not isinstance(image_id, str | numbers.Integral) or isinstance(image_id, bool):
        raise InputError(f"example {row} of the source has the image_id {image_id!r}: give a text, or a number")
    return str(image_id)


def check_split(split: str, image_id: str) -> None:
    """Raises InputError unless `split`, which image `image_id` says it is of, is one of SPLITS."""
    if not isinstance(split, str) or split not in SPLITS:
        raise InputError(f"image {image_id} is of the split {split!r}: a split is {', '.join(SPLITS)}")


def check_missing(source: Any) -> None:
    """An InputWarning where fewer than half of the images are there that a source's table lists."""
    here, missing = len(source), int(getattr(source, "missing", 0))
    if missing > here:
        line = f"{here} of the {here + missing} images that the table of the {source.name} lists are there"
        warnings.warn(f"{line}, fewer than half: are all of them in one place?", InputWarning, stacklevel=3)


def column_of(name: str, names: Sequence[str]) -> int:
    """The place of attribute `name` among `names`; InputError with the nearest when it is not there."""
    if not names:
        raise InputError(f"unknown attribute {name!r}: the data has none; pack it with labels")
    if name not in names:
        raise unknown("attribute", name, names)
    return list(names).index(name)


def spread(rows: Any, most: int) -> Any:
    """`most` of the rows [n], those spread evenly from the first to the last; all where there are no more."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, most).round().astype(int))]
