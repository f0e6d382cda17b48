"""CelebA as people have it: the official folder (or its zip) with its text tables, and the copy that circulates as CSV.

Liu et al., Deep Learning Face Attributes in the Wild, ICCV 2015: 202,599 aligned JPEGs of 178x218, 40 yes/no
attributes each, in three fixed splits.
"""

import os
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from jvae.data.source import SPLITS, Example
from jvae.data.sources.archive import open_images
from jvae.data.sources.tables import FOLDERS, find_table, find_words, read_table
from jvae.errors import InputError

ATTRIBUTES: tuple[str, ...] = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose",
    "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses",
    "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes",
    "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks", "Sideburns", "Smiling",
    "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick", "Wearing_Necklace",
    "Wearing_Necktie", "Young",
)  # fmt: skip
_LAST_TRAIN, _LAST_VALIDATION = 162770, 182637  # the official split is by file number


class CelebAFolder:
    """The images of a CelebA folder that have a row in its attribute table, in the table's order.

    The images are those in `img_align_celeba/` (or that folder twice, as Kaggle nests it) or in `img_align_celeba.zip`,
    which is read without unpacking; the tables are `list_attr_celeba` and `list_eval_partition`, `.txt` or `.csv`. All
    may also lie in the official `Img/`, `Anno/` and `Eval/`. Without a partition table the official ranges by file
    number hold, and a partition table of another name will do. So will any subset of the images.

    Attributes:
      path: path as it was given.
      folder: folder or zip that holds the images.
      missing: number of the attribute table's rows that have no image here.
      message: lines that say so, where images lie in several places which of them was taken, and what decided the
        splits.
    """

    def __init__(self, path: str | os.PathLike[str]):
        """Reads the tables and lists the images; no image is opened.

        Args:
          path: the folder that holds the images (as folder or zip) and the tables.

        Raises:
          InputError: nothing there, no table, a table that is not CelebA's, or images and table do not overlap.
        """
        root = Path(path)
        if not root.is_dir():
            what = "is a file" if root.exists() else "does not exist"
            raise InputError(f"{root} {what}: give the folder that holds img_align_celeba and list_attr_celeba.txt")
        if not any(root.iterdir()):
            raise InputError(f"{root} is empty: put img_align_celeba (or its .zip) and list_attr_celeba.txt there")
        table_path = find_table(root, "list_attr_celeba")
        if table_path is None:
            raise InputError(
                f"no list_attr_celeba.txt or .csv in {root} or its Anno: put CelebA's table beside the images"
            )
        rows, attrs = read_attributes(table_path)
        self._files, passed_over = open_images(root, rows)
        names = self._files.names
        present = set(names)
        here = np.array([r in present for r in rows], bool)
        if not here.any():
            raise InputError(
                f"no image of {self._files.path} is in {table_path.name}: it has {len(present)} images"
                f" ({min(present)}, ...), the table names {rows[0]}, ...; images and table must be of one data set"
            )
        without = sorted(present.difference(rows))
        if without:
            raise InputError(
                f"{len(without)} of the {len(present)} images in {self._files.path} have no row in {table_path.name}"
                f" ({', '.join(without[:3])}{', ...' if len(without) > 3 else ''}): complete the table or remove them"
            )
        self.path, self.folder = root, self._files.path
        self.name = f"CelebA {self._files.kind}"
        self.attribute_names = ATTRIBUTES
        self.image_ids = rows[here]  # str objects [n]
        self.attrs = attrs[here]  # [n, a]
        self.missing = int(len(rows) - here.sum())
        lines = [passed_over] if passed_over else []
        if self.missing:
            lines.append(
                f"{len(self)} of the {len(rows)} images in {table_path.name} are here; {self.missing} are missing"
            )
        partition_path = find_table(root, "list_eval_partition", "partition")
        if partition_path is None:
            self.splits = splits_by_number(self.image_ids)
            where = f"no partition table is in {root}, nor in its {', '.join(FOLDERS)}"
            lines.append(f"split by number, in the official ranges: {where}")
        else:
            self.splits = _splits_by_table(self.image_ids, partition_path)
            lines.append(f"split by {partition_path.relative_to(root)}")
        self.message = "\n".join(lines)

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, index: int, /) -> Example:
        """Example `index`, its image as the file's bytes; InputError when the file cannot be read."""
        image_id = self.image_ids[index]
        return Example(
            self._files.read(image_id),
            self.attrs[index],
            image_id,
            str(self.splits[index]),
        )

    @property
    def checksum(self) -> str:
        """CRC-32 of the images' names and sizes, of their splits and of their labels; no image is opened."""
        files = [f"{name}\0{self._files.size(name)}" for name in self.image_ids]
        crc = zlib.crc32("\0".join([*files, *self.splits.tolist()]).encode("utf-8", "surrogateescape"))
        return f"{zlib.crc32(np.packbits(self.attrs).tobytes(), crc):08x}"


def splits_by_number(image_ids: np.ndarray) -> np.ndarray:
    """The official split of each image by the number in its name, as str [n].

    Raises:
      InputError: a name that is not a number from 1 to 202599.
    """
    stems = pd.Series(image_ids, dtype=object).astype(str).str.rsplit(".", n=1).str[0]
    numbers = np.asarray(pd.to_numeric(stems, errors="coerce"), float)
    strange = ~((numbers >= 1) & (numbers <= 202599))
    if strange.any():
        raise InputError(
            f"without list_eval_partition.txt the split goes by number, and {image_ids[strange.argmax()]!r} is none"
            " from 000001 to 202599: add the partition table"
        )
    return np.array(SPLITS)[(numbers > _LAST_TRAIN).astype(int) + (numbers > _LAST_VALIDATION)]


def read_attributes(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The attribute table, `.txt` or `.csv`: image ids (str objects [n]) and attributes (bool [n,40] as in ATTRIBUTES).

    Raises:
      InputError: its columns, its count of rows or a value is not CelebA's: 1 for yes, -1 (or 0) for no.
    """
    root = path.parent.parent if path.parent.name in FOLDERS else path.parent
    own = f"jvae pack folder {root} --labels {path.relative_to(root)}"
    way = f"if these labels are your own, pack them with {own}, else download the table again"
    ids, values = read_table(path, ATTRIBUTES, way=way)
    wrong = (values != 1) & (values != (-1 if (values == -1).any() else 0))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise InputError(
            f"{path.name} has {values[row, column]} for {ATTRIBUTES[column]} of {ids[row]}:"
            " values are 1 and -1 (or 1 and 0) throughout"
        )
    return ids, values == 1


def read_partition(path: Path) -> pd.Series:
    """The partition table, `.txt` or `.csv`: the name of the split by image id.

    Raises:
      InputError: the table is cut, or a value is not 0, 1 or 2.
    """
    ids, values = read_table(path, ["partition"], headed=False)
    wrong = ~np.isin(values[:, 0], (0, 1, 2))
    if words := find_words(path):
        raise InputError(f"{path.name} has {words!r} for a partition: 0 is train, 1 validation, 2 test")
    if wrong.any():
        row = wrong.argmax()
        raise InputError(f"{path.name} has {values[row, 0]} for {ids[row]}: 0 is train, 1 validation, 2 test")
    return pd.Series(np.array(SPLITS)[values[:, 0]], index=ids)


def _splits_by_table(image_ids: np.ndarray, path: Path) -> np.ndarray:
    splits = read_partition(path).reindex(image_ids)
    without = np.asarray(splits.isna())
    if without.any():
        raise InputError(
            f"{path.name} has no row for {without.sum()} of the {len(image_ids)} images"
            f" ({image_ids[without.argmax()]}, ...): it is cut; download it again, or remove it for the official ranges"
        )
    return np.asarray(splits, str)
