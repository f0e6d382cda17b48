"""A packed store, an image_id or a photograph's file in; the faces a figure is made of out."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jvae.config import Config
from jvae.data.decode import check_crop
from jvae.data.packed import PackedStore, preprocess
from jvae.data.sources.archive import read_file
from jvae.errors import InputError


class NamedFaces(NamedTuple):
    """Some faces and what to call them."""

    images: np.ndarray  # [n,h,w,3] uint8
    names: list[str]


def open_store(path: str | os.PathLike[str], size: int) -> PackedStore:
    """Opens a packed store for a model of images of `size` pixels.

    Raises:
      InputError: there is no store, it is damaged, or its images are of another size.
    """
    store = PackedStore.open(path)
    if store.size != size:
        raise InputError(
            f"{path} holds images of {store.size}x{store.size} but the run was trained on {size}x{size}: "
            f"pack the images again with --size {size}"
        )
    return store


def find_faces(store: PackedStore, wanted: Sequence[str]) -> NamedFaces:
    """NamedFaces by name, in the order given.

    Args:
      store: where to look for names.
      wanted: each an image_id of the store, or else the path of an image file, which is cropped and scaled as the
        store's images were.

    Raises:
      InputError: neither an image_id (the nearest are named) nor a readable image.
    """
    found = [_find_face(store, name) for name in wanted]
    return NamedFaces(np.stack([image for image, _ in found]), [name for _, name in found])


def pick_faces(
    store: PackedStore, count: int, *, split: str | None = "test", without: str | None = None, seed: int = 0
) -> NamedFaces:
    """Up to `count` faces chosen by chance, in the store's order.

    Args:
      store: to choose from.
      count: at least 1; there may be fewer.
      split: None is the whole store.
      without: an attribute the faces shall not have.
      seed: of the choice.

    Raises:
      InputError: an unknown split or attribute, or nobody fits.
    """
    if count < 1:
        raise InputError(f"count={count} must be at least 1")
    rows = store.indices(split)
    if without is not None:
        rows = rows[~store.attrs[rows, store.attribute(without)]]
        if not len(rows):
            raise InputError(f"everybody in {split or 'the store'} has {without}: name faces with --images")
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:count])
    return NamedFaces(store.read(rows), [str(name) for name in store.image_ids[rows]])


def crop_of(config: Config, path: str | os.PathLike[str] | None = None, crop: str | None = None) -> str:
    """How the images were cropped that a run was trained on, which the run itself does not know.

    Args:
      config: of the run.
      path: the packed store it was trained on, if that is there.
      crop: what the user says.

    Returns:
      What the store says; else `crop`; else what is usual: "squash" for the preset book, "center" for others.

    Raises:
      InputError: the store and `crop` contradict one another, `crop` is unknown, or the store does not fit the run.
    """
    if crop is not None:
        check_crop(crop)
    if path is None:
        return crop or ("squash" if config.preset == "book" else "center")
    meta = open_store(path, config.model.image_size).meta
    found = "rendered" if meta.source == "rendered" else meta.crop
    if crop not in (None, found):
        raise InputError(f"crop={crop}, and the images of {path} are cropped by {found}: leave out one of the two")
    return found


def _find_face(store: PackedStore, name: str) -> tuple[np.ndarray, str]:
    try:
        row = store.index(name)
    except InputError as error:
        path = Path(name).expanduser()
        if not path.is_file():
            raise InputError(f"{error}; nor is there an image file of that name") from error
        return preprocess(read_file(path), store.size, store.meta.crop, name=str(path)), path.name
    return store.read(np.array([row]))[0], name
