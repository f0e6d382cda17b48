"""A packed store, an image_id or a photograph's file in; the faces a figure is made of out."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jvae.config import Config, check_seed
from jvae.data.decode import check_crop
from jvae.data.decoded import DecodedStore
from jvae.data.packed import PackedStore, preprocess
from jvae.data.source import DataId
from jvae.data.sources.archive import read_file
from jvae.errors import InputError, InputWarning


class NamedFaces(NamedTuple):
    """Some faces and what to call them."""

    images: np.ndarray  # [n,h,w,3] uint8
    names: list[str]


def open_store(path: str | os.PathLike[str], size: int, trained_on: DataId | None = None) -> PackedStore:
    """Opens a packed store for a model of images of `size` pixels.

    Args:
      path: of the store.
      size: height and width of the model's images.
      trained_on: data of the model, if that is known; see `check_store`.

    Raises:
      InputError: there is no store, it is damaged, or its images are of another size.
    """
    store = PackedStore.open(path)
    if store.size != size:
        raise InputError(
            f"{path} holds images of {store.size}x{store.size} but the run was trained on {size}x{size}: "
            f"pack the images again with --size {size}"
        )
    check_store(store, trained_on)
    return store


def check_store(store: PackedStore | DecodedStore, trained_on: DataId | None) -> None:
    """An InputWarning where a store is of another crop, or other data, than a run was trained on, if that is known."""
    if trained_on is None:
        return
    if store.crop != trained_on.crop:
        warnings.warn(
            f"the images of {store.path} are cut by the crop {store.crop}, and the run was trained on the crop "
            f"{trained_on.crop}",
            InputWarning,
            stacklevel=3,
        )
    elif store.checksum != trained_on.checksum:
        warnings.warn(
            f"{store.path} ({store.source}) is not the store that the run was trained on ({trained_on.source})",
            InputWarning,
            stacklevel=3,
        )


def find_faces(store: PackedStore, wanted: Sequence[str], crop: str | None = None) -> NamedFaces:
    """NamedFaces by name, in the order given.

    Args:
      store: where to look for names.
      wanted: each an image_id of the store, or else the path of an image file, which is cropped and scaled.
      crop: crop of image files, the run's where that is known; None is the store's.

    Raises:
      InputError: neither an image_id (the nearest are named) nor a readable image.
    """
    found = [_find_face(store, name, crop or store.crop) for name in wanted]
    return NamedFaces(np.stack([image for image, _ in found]), [name for _, name in found])


def pick_faces(
    store: PackedStore,
    count: int,
    *,
    split: str | None = "test",
    without: str | None = None,
    having: str | None = None,
    seed: int = 0,
) -> NamedFaces:
    """Up to `count` faces chosen by chance, in the store's order.

    Args:
      store: to choose from.
      count: at least 1; there may be fewer.
      split: None is the whole store.
      without: an attribute the faces shall not have.
      having: one that they shall have.
      seed: of the choice.

    Raises:
      InputError: an unknown split or attribute, or nobody fits; or see `check_seed`.
    """
    if count < 1:
        raise InputError(f"count={count} must be at least 1")
    rows = store.indices(split)
    for name, who, there in ((without, "everybody", False), (having, "nobody", True)):
        if name is not None:
            rows = rows[store.attrs[rows, store.attribute(name)] == there]
            if not len(rows):
                raise InputError(f"{who} in {split or 'the store'} has {name}: name faces with --images")
    rows = np.sort(np.random.default_rng(check_seed(seed)).permutation(rows)[:count])
    return NamedFaces(store.read(rows), [str(name) for name in store.image_ids[rows]])


def crop_of(
    config: Config,
    trained_on: DataId | None = None,
    path: str | os.PathLike[str] | None = None,
    crop: str | None = None,
) -> str:
    """How the images were cropped that a run was trained on.

    Args:
      config: of the run.
      trained_on: what the run says of its data; None for runs of an older jvae.
      path: a packed store, if there is one.
      crop: what the user says.

    Returns:
      What the run says; else what the store says; else `crop`; else, with an InputWarning, what is usual: "squash" for
      the preset book, "center" for others.

    Raises:
      InputError: what is known and `crop` contradict one another, `crop` is unknown, or the store does not fit the run.
    """
    if crop is not None:
        check_crop(crop)
    store = None if path is None else open_store(path, config.model.image_size, trained_on)
    known, whose = (trained_on.crop, "that the run was trained on") if trained_on else (None, "")
    if known is None and store is not None:
        known, whose = store.crop, f"of {path}"
    if known is not None:
        if crop not in (None, known):
            raise InputError(f"crop={crop}, and the images {whose} are cropped by {known}: leave out --crop")
        return known
    if crop is None:
        crop = "squash" if config.preset == "book" else "center"
        warnings.warn(
            f"the run is of an older jvae and does not say how its images were cropped: taking {crop}, which is usual; "
            "--crop gives another",
            InputWarning,
            stacklevel=2,
        )
    return crop


def _find_face(store: PackedStore, name: str, crop: str) -> tuple[np.ndarray, str]:
    try:
        row = store.index(name)
    except InputError as error:
        path = Path(name).expanduser()
        if not path.is_file():
            raise InputError(f"{error}; nor is there an image file of that name") from error
        return preprocess(read_file(path), store.size, crop, name=str(path)), path.name
    return store.read(np.array([row]))[0], name
