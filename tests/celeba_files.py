"""Small files in CelebA's format for the tests to read."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jvae.data.sources.celeba import ATTRIBUTES, CelebAFolder
from jvae.errors import InputError

TABLE, PARTITION = "list_attr_celeba.txt", "list_eval_partition.txt"

# Both sides of each border of the official splits, and some between.
NUMBERS = (1, 2, 3, 40, 162769, 162770, 162771, 170000, 182637, 182638, 200000, 202599)
NAMES = tuple(f"{n:06d}.jpg" for n in NUMBERS)
SPLIT_OF = dict(zip(NAMES, ["train"] * 6 + ["validation"] * 3 + ["test"] * 3, strict=True))
CODE = {"train": 0, "validation": 1, "test": 2}


def picture(seed: int, width: int = 178, height: int = 218) -> np.ndarray:
    """A smooth random picture, uint8 [h,w,3], with some fine grain as photographs have."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(float)
    return (smooth + rng.normal(0, 4, smooth.shape)).clip(0, 255).astype(np.uint8)


def encode(pixels: np.ndarray, kind: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **({"quality": 92, **options} if kind == "JPEG" else options))
    return file.getvalue()


def attributes(count: int) -> np.ndarray:
    """bool [count,40], the same at every call."""
    return np.random.default_rng(7).random((count, len(ATTRIBUTES))) < 0.4


def attribute_table(names: tuple[str, ...], attrs: np.ndarray, no: int = -1, end: str = "\n", csv: bool = False) -> str:
    if csv:
        lines = [",".join(["image_id", *ATTRIBUTES])]
        lines += [",".join([n, *(str(1 if v else no) for v in row)]) for n, row in zip(names, attrs, strict=True)]
    else:  # the official file has a blank at the end of its header and two before a 1
        lines = [str(len(names)), " ".join(ATTRIBUTES) + " "]
        lines += [" ".join([n, *(f"{1 if v else no:2d}" for v in row)]) for n, row in zip(names, attrs, strict=True)]
    return "".join(line + end for line in lines)


def partition_table(splits: dict[str, str], end: str = "\n", csv: bool = False) -> str:
    lines = ["image_id,partition"] if csv else []
    return "".join(line + end for line in lines + [f"{n}{',' if csv else ' '}{CODE[s]}" for n, s in splits.items()])


def prepared_celeba(folder: Path) -> Path:
    """What `prepare` makes of a CelebA folder, both in `folder`."""
    from jvae.data.sources.celeba_builder import prepare  # imports TFDS

    write_celeba(folder / "files")
    prepare(folder / "files", folder / "tfds")
    return folder / "tfds"


def write_celeba(root: Path, names: tuple[str, ...] = NAMES, layout: str = "lf") -> dict[str, bytes]:
    """Writes a CelebA folder of `names` in one of the layouts people have; returns the files' bytes by name."""
    files = {name: encode(picture(int(name[:6]))) for name in names}
    end, csv = ("\r\n" if layout == "crlf" else "\n"), layout in ("csv", "kaggle")
    official = layout == "official"
    images = root / "Img" if official else root
    tables, eval_folder = (root / "Anno", root / "Eval") if official else (root, root)
    for folder in (images, tables, eval_folder):
        folder.mkdir(parents=True, exist_ok=True)
    if layout in ("zip", "deflated", "official"):
        method = zipfile.ZIP_DEFLATED if layout == "deflated" else zipfile.ZIP_STORED
        with zipfile.ZipFile(images / "img_align_celeba.zip", "w", method) as archive:
            archive.writestr("img_align_celeba/", "")
            for name, data in files.items():
                archive.writestr(f"img_align_celeba/{name}", data)
            archive.writestr("__MACOSX/img_align_celeba/._000001.jpg", b"")
    else:
        folder = images / "img_align_celeba" / ("img_align_celeba" if layout == "kaggle" else "")
        folder.mkdir(parents=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
        (folder / "._000001.jpg").write_bytes(b"")
    suffix = "csv" if csv else "txt"
    table = attribute_table(names, attributes(len(names)), end=end, csv=csv)
    (tables / f"list_attr_celeba.{suffix}").write_bytes(table.encode())
    partition = partition_table({n: SPLIT_OF[n] for n in names}, end, csv)
    (eval_folder / f"list_eval_partition.{suffix}").write_bytes(partition.encode())
    return files


def as_tfrecord(directory: Path, to: Path) -> Path:
    """A copy of a build as TFDS's TFRecord writer would have made it."""
    import tensorflow_datasets as tfds

    to.mkdir(parents=True)
    builder: Any = tfds.builder_from_directory(directory)
    for name in ("features.json", "dataset_info.json"):
        (to / name).write_text((directory / name).read_text().replace("array_record", "tfrecord"))
    for split in builder.info.splits:
        source = builder.as_data_source(split=split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
        data = b"".join(struct.pack("<Q4x", len(record)) + record + bytes(4) for record in source)
        (to / f"{builder.info.name}-{split}.tfrecord-00000-of-00001").write_bytes(data)
    return to


def said(root: Path) -> str:
    """The one line that opening `root` fails with."""
    with pytest.raises(InputError) as caught:
        CelebAFolder(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)
