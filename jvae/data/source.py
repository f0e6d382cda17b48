"""What every source of pictures gives: examples, by index, in an order that never changes."""

from typing import NamedTuple, Protocol

import numpy as np

SPLITS: tuple[str, ...] = ("train", "validation", "test")  # as 0, 1, 2 of CelebA's partition table


class Example(NamedTuple):
    """One face and what is known of it."""

    image: np.ndarray | bytes  # uint8 [h,w,3], or the bytes of an encoded file
    attrs: np.ndarray  # bool [a]
    image_id: str
    split: str  # one of SPLITS


class Source(Protocol):
    """Random access to faces, in an order that never changes.

    `name` says in a few words what it is (it goes into a store's meta file, so no paths). `source[i]` may raise
    `InputError` for an example that cannot be read; the others stay readable. It may be called from many threads.
    """

    @property
    def name(self) -> str:
        """What it is."""
        ...

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """What the columns of an example's `attrs` are."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Example: ...
