"""CelebA through TensorFlow Datasets, read without TensorFlow: ArrayRecord files, in any order at once."""

import contextlib
import json
import mmap
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np

from jvae.data.source import SPLITS, Example
from jvae.data.sources.celeba import ATTRIBUTES
from jvae.errors import InputError
from jvae.io.buckets import locate, size
from jvae.io.fields import read_object
from jvae.io.files import on_disk, replacing, uri

REQUESTS = 32  # to a bucket at once

_NAMES = ("celeb_a_with_ids", "celeb_a")  # ours, and the official one
METADATA = "metadata.json"  # TFDS's name, for what a builder adds
# The files of each split by number, and the forty labels of one of them as list_attr_celeba.txt has them.
_OFFICIAL_RANGES = {"train": (1, 162770), "validation": (162771, 182637), "test": (182638, 202599)}
_KNOWN_LABELS = {
    "train": ("000001.jpg", "0110000000010000001101001001000110101001"),
    "validation": ("162771.jpg", "0010011000000000001100001101000101001001"),
    "test": ("202599.jpg", "0110000001000000001000001011000001001001"),
}


class CelebATFDS:
    """A prepared data set, the official `celeb_a` or our `celeb_a_with_ids`: train, then validation, then test.

    The official examples carry no file name. In a complete official build the names follow all the same, see
    `shuffled_names`; in any other an image_id is the split and the place in it: "train-000123".

    Only the fields needed are read: TFDS's own decoding of the sixty fields of an example takes ten times as long.

    Attributes:
      name: words that say what the source is.
      attribute_names: names of the forty attributes.
      path: path as it was given.
      directory: directory of the version that was found.
      ranges: split -> its first example and the first one after it.
    """

    def __init__(self, path: str | os.PathLike[str]):
        """Opens the data set; at most three examples are read.

        Args:
          path: the data_dir in which TFDS prepared it, or the directory of the data set or of a version in it; on a
            disk or gs://BUCKET/FOLDER, which needs the extra `bucket`.

        Raises:
          InputError: there is none or more than one, it is not in ArrayRecord format, or it is not CelebA.
        """
        import tensorflow_datasets as tfds
        from tensorflow_datasets.proto import tf_example_pb2

        example_proto: Any = tf_example_pb2
        directory = _version_directory(path)
        builder = _open_builder(directory)
        formats = _formats(directory, builder)
        if "array_record" not in formats:
            way = (
                f"`jvae convert-tfds {directory}`, which needs no TensorFlow"
                if "tfrecord" in formats
                else f"`tfds convert_format --dataset_version_dir={directory} --out_file_format=array_record`"
            )
            raise InputError(
                f"{directory} is in {'/'.join(sorted(formats))} format, not array_record: convert it with {way}"
            )
        features = cast(Any, builder.info.features)
        attributes = features["attributes"] if "attributes" in features else ()
        lacking = [name for name in ATTRIBUTES if name not in attributes] + ["image"] * ("image" not in features)
        if lacking:
            raise InputError(f"{directory} is not CelebA: its examples have no {lacking[0]}; give celeb_a's directory")
        self.name = f"CelebA through TFDS ({builder.info.name} {builder.info.version})"
        self.attribute_names = ATTRIBUTES
        self._parse = example_proto.Example.FromString
        self._has_ids = "image_id" in features
        self._splits = [s for s in SPLITS if s in builder.info.splits and builder.info.splits[s].num_examples]
        counts = {s: builder.info.splits[s].num_examples for s in self._splits}
        if not counts:
            raise InputError(f"{directory} has no examples in {', '.join(SPLITS)}: prepare it again")
        self._ends = np.cumsum(list(counts.values()))
        starts = [0, *self._ends[:-1].tolist()]
        self.ranges = {s: (first, first + counts[s]) for s, first in zip(self._splits, starts, strict=True)}
        self.path, self.directory = locate(path), directory
        with _damage_named(directory):
            self._records = [
                builder.as_data_source(
                    split=split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES, file_format="array_record"
                )
                for split in self._splits
            ]
        self._at_once = ThreadPoolExecutor(REQUESTS).map if uri(path) else map
        self._names: dict[str, list[str]] = {}
        if not self._has_ids and counts == {s: last - first + 1 for s, (first, last) in _OFFICIAL_RANGES.items()}:
            self._names = self._official_names()

    def _official_names(self) -> dict[str, list[str]]:
        names = {
            split: shuffled_names(split, [f"{i:06d}.jpg" for i in range(first, last + 1)])
            for split, (first, last) in _OFFICIAL_RANGES.items()
        }
        starts = dict(zip(self._splits, [0, *self._ends.tolist()], strict=False))
        for split, (name, labels) in _KNOWN_LABELS.items():  # a wrong name would be worse than none
            attrs = self[starts[split] + names[split].index(name)].attrs
            if attrs.tolist() != [label == "1" for label in labels]:
                return {}
        return names

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int, /) -> Example:
        """Example `index`, its image as the JPEG's bytes; InputError when the record cannot be read."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        part = int(np.searchsorted(self._ends, index, side="right"))
        split, row = self._splits[part], index - int(self._ends[part] - len(self._records[part]))
        image_id = self._names[split][row] if split in self._names else f"{split}-{row:06d}"
        try:
            fields: Any = self._parse(self._records[part][row]).features.feature
            image = fields["image"].bytes_list.value[0]
            attrs = np.array([fields[f"attributes/{a}"].int64_list.value[0] for a in ATTRIBUTES], bool)
            if self._has_ids:
                image_id = fields["image_id"].bytes_list.value[0].decode()
        except Exception as error:  # array_record and protobuf raise errors of their own, and a cut file an IndexError
            raise InputError(f"{image_id} cannot be read ({_first_line(error)}): prepare the data set again") from None
        return Example(image, attrs, image_id, split)

    @property
    def checksum(self) -> str:
        """CRC-32 of what TFDS says of the data set: its shards, each split's examples and bytes, what it is made of."""
        files = [file for name in ("dataset_info.json", METADATA) if (file := self.directory / name).is_file()]
        return f"{zlib.crc32(b''.join(file.read_bytes() for file in files)):08x}"

    def __reduce__(self) -> tuple[Any, ...]:
        return CelebATFDS, (self.path,)  # a process that it is sent to opens it anew

    def examples(self, rows: Iterable[int]) -> Iterator[Example]:
        """Those of `rows`, in turn; from a bucket as many at once as its answers take long."""
        return self._at_once(self.__getitem__, rows)


def shuffled_names(split: str, names: list[str]) -> list[str]:
    """`names` in the order in which TFDS writes the examples of a split whose keys they are.

    TFDS sorts the examples by a hash of their keys, salted with the name of the split, and the official builder's keys
    are the file names. So the names of a complete split are known without being stored.
    """
    from tensorflow_datasets.core import hashing

    return sorted(names, key=hashing.Hasher(split).hash_key)


def convert(path: str | os.PathLike[str]) -> Path:
    """Adds ArrayRecord files to a data set prepared as TFRecord, TFDS's default, as `tfds convert_format` does.

    That command needs TensorFlow, Beam and more, and the format is simple: a record is its length (8 bytes), a checksum
    of that (4), the data, and a checksum (4), which are not checked here. The old files stay. Until every shard is
    written the data set is as it was.

    Args:
      path: as for `CelebATFDS`.

    Returns:
      The directory of the data set's version.

    Raises:
      InputError: the data set is in another format, or a file is cut.
    """
    from array_record.python import array_record_module  # pyright: ignore[reportAttributeAccessIssue]

    directory = _version_directory(on_disk(path))
    builder: Any = _open_builder(directory)
    formats = _formats(directory, builder)
    if "array_record" in formats:
        return directory
    if "tfrecord" not in formats:
        raise InputError(f"{directory} is in {'/'.join(sorted(formats))} format: only tfrecord can be converted here")
    for split in builder.info.splits.values():
        for shard, count in zip(split.filepaths, split.shard_lengths, strict=True):
            old = Path(shard)
            records = _read_tfrecord(old)
            if len(records) != count:
                raise InputError(f"{old} is cut: {len(records)} examples of {count}; prepare the data set again")
            if ".tfrecord-" not in old.name:
                raise InputError(f"{old} is not named as TFDS names its files: prepare the data set again")
            with replacing(old.with_name(old.name.replace(".tfrecord-", ".array_record-"))) as part:
                writer = array_record_module.ArrayRecordWriter(os.fspath(part), "group_size:1")
                for record in records:
                    writer.write(bytes(record))
                writer.close()
    info = read_object((directory / "dataset_info.json").read_bytes(), f"{directory}/dataset_info.json")
    with replacing(directory / "dataset_info.json") as part:
        part.write_text(json.dumps({**info, "alternativeFileFormats": ["array_record"]}, indent=2), encoding="utf-8")
    return directory


def _read_tfrecord(path: Path) -> list[memoryview]:
    """The whole records of a TFRecord file, as views of its memory map."""
    if not path.is_file() or not path.stat().st_size:
        return []
    with open(path, "rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    records, start = [], 0
    while start + 16 <= len(data):
        (length,) = struct.unpack_from("<Q", data, start)
        if start + 16 + length > len(data):
            break
        records.append(data[start + 12 : start + 12 + length])
        start += 16 + length
    return records


def _open_builder(directory: Path) -> Any:
    import tensorflow_datasets as tfds  # half a second, and only this source needs it

    _check_features(directory / "features.json")
    with _damage_named(directory):
        builder = tfds.builder_from_directory(directory)
        there = sum(size(path) for path in directory.iterdir())
        for split in builder.info.splits.values():
            if not 0 <= split.num_examples <= there:
                raise InputError(f"{directory} says it has {split.num_examples:,} examples in {there:,} bytes")
            for path in split.filepaths:
                if os.path.abspath(os.path.dirname(path)) != os.path.abspath(directory):
                    raise InputError(f"{directory} says its examples lie in {path}, outside of it: prepare it again")
    return builder


def _check_features(path: Path) -> None:
    """Raises InputError for a feature that is not TFDS's own, whose module TFDS would import by its name."""
    waiting: list[Any] = [read_object(path.read_bytes(), str(path))] if path.is_file() else []
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            for name in (node.get("pythonClassName"), node.get("type")):
                if isinstance(name, str) and not name.startswith("tensorflow_datasets.core.features."):
                    raise InputError(f"{path} has features of {name[:80]!r}, which is not TFDS's: prepare it again")
        waiting += node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()


def _formats(directory: Path, builder: Any) -> set[str]:
    with _damage_named(directory):
        return {f.value for f in builder.info.available_file_formats()}


@contextlib.contextmanager
def _damage_named(directory: Path) -> Iterator[None]:
    """TFDS and array_record wrap what they find in errors of many kinds."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{directory} is no whole TFDS data set ({_first_line(error)}): prepare it again") from None


def _version_directory(given: str | os.PathLike[str]) -> Path:
    """The one directory at or below `given` that holds a prepared data set of ours."""
    path = locate(given)
    try:
        return _find_version(path)
    except (InputError, OSError):
        raise
    except Exception as error:  # of gcsfs and what it signs in with
        raise InputError(f"{path} cannot be read ({_first_line(error)}): is it there, and may you read it?") from None


def _find_version(path: Path) -> Path:
    if not path.is_dir():
        raise InputError(f"{path} does not exist: give the data_dir in which TFDS prepared celeb_a")
    if (path / "dataset_info.json").is_file():
        return path
    roots = [path / name for name in _NAMES if (path / name).is_dir()] or [path]
    depths = ("*/dataset_info.json", "*/*/dataset_info.json")  # version, or configuration and version
    found = sorted({p.parent for root in roots for depth in depths for p in root.glob(depth)})
    found = [p for p in found if not p.name.startswith("incomplete")]
    if not found:
        raise InputError(
            f"no prepared celeb_a in {path}: make one from files downloaded by hand with jvae prepare-tfds,"
            f" or `tfds build celeb_a --file_format=array_record --data_dir={path}` where TensorFlow is installed"
        )
    if len(found) > 1:
        raise InputError(f"{path} has several data sets: give one of {', '.join(map(str, found))}")
    return found[0]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
