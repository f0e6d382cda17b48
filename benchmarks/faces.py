"""Faces to measure with: rendered ones, few of them repeated to any number, and files in CelebA's format."""

import contextlib
import functools
import io
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from jvae.config import Config
from jvae.data.packed import PackedStore
from jvae.data.sources.celeba import ATTRIBUTES, CelebAFolder
from jvae.data.sources.rendered import RenderedFaces
from jvae.errors import InputError
from jvae.models.model import init_variables
from jvae.runtime.hashing import random_key
from jvae.trained import TrainedModel


class Repeated:
    """Reads as an array of `count` rows that holds the rows of `array` over and over, and takes no more memory than it.

    What a feed or a statistics pass needs of an array: its shape and type, and rows by number, slice, or array of
    numbers of any shape.

    Raises:
      InputError: no rows to repeat, or none asked for.
    """

    def __init__(self, array: np.ndarray, count: int) -> None:
        if count < 1 or not len(array):
            raise InputError(f"{len(array)} rows cannot be repeated to {count}: give at least 1 of each")
        self.array, self.shape = array, (count, *array.shape[1:])
        self.dtype, self.ndim = array.dtype, array.ndim

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        count = len(self)
        rows = np.arange(*rows.indices(count)) if isinstance(rows, slice) else np.asarray(rows)
        if not np.issubdtype(rows.dtype, np.integer):
            raise IndexError(f"rows are taken by number, not by {rows.dtype}")
        if ((rows < -count) | (rows >= count)).any():
            raise IndexError(f"rows from {rows.min()} to {rows.max()} of {count}")
        return self.array[rows % count % len(self.array)]


def images(path: Path | None, count: int, size: int = 64) -> np.ndarray:
    """uint8 [n,size,size,3]: at most `count` images of the store at `path`, in memory, or rendered faces if it is None.

    Raises:
      InputError: no store at `path`, or one of another size.
    """
    if path is None:
        return RenderedFaces(count, size=size).render(np.arange(count))
    store = PackedStore.open(path)
    if store.size != size:
        raise InputError(f"{path} has images of {store.size} pixels, not {size}: pack it with --size {size}")
    return np.array(store.images[:count])


def untrained(cfg: Config) -> TrainedModel:
    """A model of `cfg` at its first parameters: as fast as a trained one."""
    init = jax.jit(functools.partial(init_variables, cfg.model.module(jnp.float32), cfg.model.image_size))
    return TrainedModel(cfg, init(random_key(0)))


def write_celeba(folder: Path, count: int, distinct: int = 128) -> None:
    """Writes a folder in CelebA's format of JPEGs of rendered faces, 178x218, `distinct` ones over and over."""
    files = []
    for face in RenderedFaces(count=distinct, size=224).render(np.arange(distinct)):
        file = io.BytesIO()
        Image.fromarray(face).crop((23, 3, 201, 221)).save(file, "JPEG", quality=92)
        files.append(file.getvalue())
    _write_folder(folder, {f"{i + 1:06d}.jpg": files[i % distinct] for i in range(count)})


def copy_celeba(path: Path, folder: Path, count: int) -> None:
    """Writes an even sample of `count` images of the CelebA folder `path`, or all there are, without their labels."""
    source = CelebAFolder(path)
    rows = np.unique(np.arange(count) * len(source) // count).tolist()
    _write_folder(folder, {str(source.image_ids[i]): source[i].image for i in rows})


def prepare_tfds(path: Path, data_dir: Path) -> Path:
    """Makes a TFDS data set of the CelebA folder `path`, without TFDS's progress bars; returns its directory.

    Raises:
      ImportError: TFDS is not installed, or a part it needs.
    """
    from jvae.data.sources.celeba_builder import prepare  # here, so that what reads no TFDS runs without it

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return prepare(path, data_dir)


def _write_folder(folder: Path, files: dict[str, Any]) -> None:
    (folder / "img_align_celeba").mkdir(parents=True)
    for name, data in files.items():
        (folder / "img_align_celeba" / name).write_bytes(data)
    rows = "".join(f"{name}{' -1' * len(ATTRIBUTES)}\n" for name in files)
    (folder / "list_attr_celeba.txt").write_text(f"{len(files)}\n{' '.join(ATTRIBUTES)}\n{rows}")
