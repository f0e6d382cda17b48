"""Sources of small arrays, for tests to pack and to open."""

from pathlib import Path

import numpy as np

from jvae.data.packed import PackedStore, pack
from jvae.data.source import Example


class Pictures:
    """A source of small arrays: a face a number, two attributes."""

    name = "pictures"
    attribute_names = ("Even", "Large")

    def __init__(self, count: int, fail: dict[int, Exception | BaseException] | None = None):
        self.count, self.fail = count, fail or {}

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int, /) -> Example:
        if index in self.fail:
            raise self.fail[index]
        attrs = np.array([index % 2 == 0, index > 50])
        return Example(
            np.full((16, 16, 3), index % 256, np.uint8), attrs, f"face-{index:04d}", "train" if index % 5 else "test"
        )


class Rendered(Pictures):
    """The same, drawn by the batch."""

    size = 16

    def __init__(self, count: int):
        super().__init__(count)
        self.image_ids = [super(Rendered, self).__getitem__(i).image_id for i in range(count)]

    def image_id(self, i: int) -> str:
        return self.image_ids[i]

    def split(self, i: int) -> str:
        return "train" if i % 5 else "test"

    def render(self, indices: np.ndarray) -> np.ndarray:
        return np.broadcast_to((indices % 256).astype(np.uint8)[:, None, None, None], (len(indices), 16, 16, 3))

    def labels(self, indices: np.ndarray) -> np.ndarray:
        return np.stack([indices % 2 == 0, indices > 50], axis=1)

    def __getitem__(self, index: int, /) -> Example:
        raise AssertionError("drawn one by one")


def small(source: Pictures, out: Path, **options: object) -> PackedStore:
    return pack(source, out, **{"size": 16, "crop": "center", "progress": False, **options})  # pyright: ignore
