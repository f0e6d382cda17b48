"""CelebA as a TFDS data set made from files downloaded by hand: the official features plus `image_id`.

Importing this module imports tensorflow_datasets and registers `celeb_a_with_ids` there.
"""

import dataclasses
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from jvae.data.source import SPLITS
from jvae.data.sources.celeba import ATTRIBUTES, CelebAFolder
from jvae.data.sources.tables import find_table, read_table
from jvae.data.sources.tfds import METADATA
from jvae.errors import InputError
from jvae.io.fields import read_object
from jvae.io.files import on_disk, tidy

LANDMARKS = tuple(
    f"{part}_{axis}" for part in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth") for axis in "xy"
)
IDENTITY = ("Identity_No",)
MADE_FROM = "made_from"  # in the data set's metadata.json, see `made_from`

# feature: (its table, the table's columns, whether a .txt has head lines)
_TABLES = {
    "landmarks": ("list_landmarks_align_celeba", LANDMARKS, True),
    "identity": ("identity_CelebA", IDENTITY, False),
}


@dataclasses.dataclass
class TfdsConfig(tfds.core.BuilderConfig):
    """Which of the two features that jvae does not read are there, for not everyone has their tables."""

    extra: tuple[str, ...] = ()


class CelebAWithIds(tfds.core.GeneratorBasedBuilder):
    """CelebA, aligned and cropped, from a folder as `CelebAFolder` reads it, the JPEGs as they are."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = """\
    img_align_celeba (or its .zip) and list_attr_celeba.txt from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, and
    list_eval_partition.txt, list_landmarks_align_celeba.txt and identity_CelebA.txt if you have them.
    """
    BUILDER_CONFIGS: ClassVar[list[Any]] = [
        TfdsConfig(name="full", description="All the official features.", extra=("landmarks", "identity")),
        TfdsConfig(name="landmarks", description="Without identity.", extra=("landmarks",)),
        TfdsConfig(name="attributes", description="Without landmarks and identity."),
    ]

    @property
    def _extra(self) -> tuple[str, ...]:
        config: Any = self.builder_config
        return config.extra

    def _info(self) -> tfds.core.DatasetInfo:
        extra: Any = {name: {column: np.int64 for column in _TABLES[name][1]} for name in self._extra}
        features = {
            "image": tfds.features.Image(shape=(218, 178, 3), encoding_format="jpeg"),
            "image_id": tfds.features.Text(),
            "attributes": {name: np.bool_ for name in ATTRIBUTES},
            **extra,
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description="CelebA from files downloaded by hand, with the name of each file.",
            features=tfds.features.FeaturesDict(features),
            homepage="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        faces = CelebAFolder(dl_manager.manual_dir)
        extra = {name: _read_extra(Path(dl_manager.manual_dir), name, faces) for name in self._extra}
        metadata: Any = self.info.metadata
        metadata[MADE_FROM] = made_from(faces, self._extra)
        members = {split: np.flatnonzero(faces.splits == split) for split in SPLITS}
        return {s: self._generate_examples(faces, rows, extra) for s, rows in members.items() if len(rows)}

    def _generate_examples(
        self, faces: CelebAFolder, rows: np.ndarray, extra: dict[str, np.ndarray]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for row in rows.tolist():
            image, attrs, image_id, _ = faces[row]
            if not bytes(image).startswith(b"\xff\xd8\xff"):
                raise InputError(f"{image_id} is not a JPEG: replace it or move it away")
            example: dict[str, Any] = {
                "image": image,
                "image_id": image_id,
                "attributes": dict(zip(ATTRIBUTES, attrs.tolist(), strict=True)),
            }
            for name, values in extra.items():
                example[name] = dict(zip(_TABLES[name][1], values[row].tolist(), strict=True))
            yield image_id, example


def prepare(path: str | os.PathLike[str], data_dir: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Makes `celeb_a_with_ids` from the CelebA folder `path` (see `CelebAFolder`), in ArrayRecord format.

    Landmarks and identities are in it when their tables are in the folder (`list_landmarks_align_celeba`,
    `identity_CelebA`). The JPEGs are copied as they are. What is prepared already, from these files, is not made again.

    Args:
      path: the folder with the files downloaded by hand.
      data_dir: where TFDS keeps data sets; the new one appears there when it is complete.
      overwrite: make it anew where it is there, made from other files; should that fail, the old one stays.

    Returns:
      The directory of the data set's version, for `CelebATFDS`.

    Raises:
      InputError: the folder is not CelebA's, an image is no JPEG, or the data set is there, made from other files.
    """
    data_dir = on_disk(data_dir)
    faces, config = CelebAFolder(path), config_for(Path(path))  # what is wrong there is said before anything is written
    directory = data_dir / CelebAWithIds.name / config.name / str(CelebAWithIds.VERSION)
    tidy(directory)
    if directory.exists() and not overwrite:
        known = directory / METADATA
        about = read_object(known.read_bytes(), str(known)) if known.is_file() else {}
        if about.get(MADE_FROM) == made_from(faces, config.extra):
            return directory
        what = "other files" if about else "files that it does not name"
        raise InputError(
            f"{directory} is there, made from {what}: give another --data-dir, or --overwrite to replace it"
        )
    old = directory.with_name(f".{directory.name}.{os.getpid()}.old")
    try:
        if directory.exists():
            directory.rename(old)
        builder = CelebAWithIds(data_dir=data_dir, config=config.name)
        manual = tfds.download.DownloadConfig(manual_dir=os.fspath(path))
        builder.download_and_prepare(download_config=manual, file_format="array_record")
    except BaseException:
        if old.exists():
            old.rename(directory)
        raise
    shutil.rmtree(old, ignore_errors=True)
    return directory


def config_for(path: Path) -> TfdsConfig:
    """The configuration with all the features that folder `path` has the tables for."""
    there = [name for name, (stem, _, _) in _TABLES.items() if find_table(path, stem)]
    return next(c for c in CelebAWithIds.BUILDER_CONFIGS if set(c.extra) <= set(there))


def made_from(faces: CelebAFolder, extra: Sequence[str]) -> str:
    """A text that changes with the files a data set is made from: see `CelebAFolder.checksum`, and the extra tables."""
    tables = [find_table(faces.path, _TABLES[name][0]) for name in extra]
    return "-".join([faces.checksum, *(f"{zlib.crc32(table.read_bytes()):08x}" for table in tables if table)])


def _read_extra(path: Path, name: str, faces: CelebAFolder) -> np.ndarray:
    stem, columns, headed = _TABLES[name]
    table = find_table(path, stem)
    if table is None:
        raise InputError(f"no {stem}.txt or .csv in {path}: add it, or leave the configuration to be chosen")
    ids, values = read_table(table, columns, headed)
    row_of = {image_id: i for i, image_id in enumerate(ids)}
    try:
        return values[[row_of[i] for i in faces.image_ids]]
    except KeyError as error:
        raise InputError(f"{table.name} has no row for {error.args[0]}: it is cut; download it again") from None
