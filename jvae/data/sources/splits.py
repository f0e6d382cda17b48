"""Names of images, or what a table says of them, in; which of train, validation and test each is of, out."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from jvae.data.source import SPLITS
from jvae.errors import InputError

SHARES = {"test": 0.1, "validation": 0.1}  # the rest is for training

_FOLDERS = {"train": "train", "training": "train", "val": "validation", "valid": "validation"}
_FOLDERS |= {"validation": "validation", "test": "test", "testing": "test"}
_VALUES = _FOLDERS | {str(i): split for i, split in enumerate(SPLITS)}


def is_split_folder(name: str) -> bool:
    """Whether a folder of that name is of one split."""
    return name.lower() in _FOLDERS


def splits_by_value(values: pd.Series, what: str) -> np.ndarray:
    """The splits that a column says: train, val, valid, validation or test in any case, or 0, 1, 2.

    Args:
      values: texts [n]; the index has the images' ids.
      what: to call the table in an error.

    Returns:
      Str [n], each one of SPLITS.

    Raises:
      InputError: another value; the image is named.
    """
    texts = values.fillna("").astype(str).str.strip()
    splits = texts.str.lower().map(_VALUES)
    wrong = np.asarray(splits.isna())
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{what} has {texts.iloc[row]!r} for {values.name} of {values.index[row]}:"
            " a split is train, val or test, or 0, 1 or 2"
        )
    return np.asarray(splits, str)


def splits_by_folder(paths: Sequence[str]) -> np.ndarray | None:
    """The splits that folders' names say, wherever they are in the paths; None where no folder is called so.

    Raises:
      InputError: one image is in such a folder and another is not, or in two that differ; both are named.
    """
    found = [{_FOLDERS[f.lower()] for f in path.split("/")[:-1] if f.lower() in _FOLDERS} for path in paths]
    if not any(found):
        return None
    odd = next((i for i, splits in enumerate(found) if len(splits) != 1), None)
    if odd is not None:
        what = " and ".join(sorted(found[odd])) or "no split"
        some = next(path for path, splits in zip(paths, found, strict=True) if splits)
        raise InputError(
            f"the folders say that {paths[odd]} is of {what}, and {some} is of one: move it, or give --split random"
        )
    return np.array([min(splits) for splits in found])


def complete(splits: np.ndarray, ids: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Takes for validation and test, where there are none, what SHARES says of the images for training.

    Which is a function of an image's id alone, so another image more or less changes nothing for the rest; only where
    that would leave a split empty, the image that comes next to it is taken.

    Args:
      splits: str [n], each one of SPLITS.
      ids: n.

    Returns:
      Str [n], and the splits that were made.
    """
    numbers = np.array([_fraction(image_id) for image_id in ids])
    splits, made, low = splits.astype("<U10"), [], 0.0
    for split, share in SHARES.items():
        train = np.flatnonzero(splits == "train")
        if len(train) > 1 and not (splits == split).any():
            middle = low + share / 2
            nearest = train[np.argsort(np.abs(numbers[train] - middle), kind="stable")]
            inside = np.abs(numbers[nearest] - middle) <= share / 2
            splits[nearest[: min(max(1, int(inside.sum())), len(train) - 1)]] = split
            made.append(split)
        low += share
    return splits, made


def _fraction(image_id: str) -> float:
    """A number in [0,1) that an id has for ever."""
    digest = hashlib.blake2b(image_id.encode("utf-8", "surrogateescape"), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48
