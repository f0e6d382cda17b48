"""NumPy's files in, arrays out: nothing is unpickled, and nothing takes more memory than the file has bytes."""

import io
import math
import os
import struct
import tokenize
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from jvae.errors import InputError, damaged

# What zipfile and NumPy's parser of headers raise when the bytes are not theirs.
_DAMAGE = (
    *(ValueError, TypeError, LookupError, EOFError, OverflowError, struct.error),
    *(zipfile.BadZipFile, NotImplementedError, RuntimeError, SyntaxError, tokenize.TokenError, MemoryError),
)


class Header(NamedTuple):
    """What an array file says of its array."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(file: BinaryIO, what: str) -> Header:
    """The header of a .npy file; `file` is then where the array begins.

    Raises:
      InputError: it is none, or its array is not of numbers or text.
    """
    try:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise damaged(what, f"its array has format {version}, not (1, 0)")
        header = Header(*np.lib.format.read_array_header_1_0(file))
    except InputError:
        raise
    except _DAMAGE as error:
        raise damaged(what, f"it has no header of an array ({_first_line(error)})") from None
    if header.dtype.kind not in "biufU" or not header.dtype.itemsize or min(header.shape, default=0) < 0:
        raise damaged(what, f"its array is {header.dtype} {list(header.shape)}, not of numbers or text")
    return header


def read_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays that `np.savez` wrote, by name; every byte is held against the file's checksums.

    Raises:
      InputError: the file is damaged or none of these, or holds objects.
      OSError: there is no such file, or it cannot be read.
    """
    data = Path(path).read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            # What is stored as it is takes no more than the file, unless members share bytes; deflated, it takes any.
            if any(i.compress_type for i in infos) or sum(i.file_size for i in infos) > len(data):
                raise damaged(str(path), "its members are deflated or larger than the file")
            members = {info.filename.removesuffix(".npy"): archive.read(info) for info in infos}
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(f"{path} is damaged or no .npz file ({_first_line(error)}): make it again") from None
    return {name: _array(member, f"{name} in {path}") for name, member in members.items()}


def read_npy(path: str | os.PathLike[str]) -> np.ndarray:
    """The array of a .npy file.

    Raises:
      InputError: there is no such file, it is damaged, or it is none of these.
    """
    if not Path(path).is_file():
        raise InputError(f"there is no file {path}: give an array that numpy.save wrote")
    return _array(Path(path).read_bytes(), str(path))


def _array(data: bytes, what: str) -> np.ndarray:
    file = io.BytesIO(data)
    header = read_header(file, what)
    found = len(data) - file.tell()
    if header.nbytes != found:
        raise damaged(what, f"{found} bytes where {header.dtype} {list(header.shape)} has {header.nbytes}")
    if header.dtype.kind == "U":
        codes = np.frombuffer(data, header.dtype.str[0] + "u4", offset=file.tell())
        if ((codes > 0x10FFFF) | (codes >= 0xD800) & (codes < 0xE000)).any():
            raise damaged(what, "its text is no Unicode")
    return np.ndarray(header.shape, header.dtype, data, file.tell(), order="F" if header.fortran_order else "C").copy()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def row_numbers(rows: Any, count: int) -> Any:
    """Rows of an array of `count`, however they are named, as numbers from 0.

    Args:
      rows: integers, of which negative ones count from the end; a mask, bool [count]; a slice; or None for all. What is
        none of these, such as a range that takes no memory, is returned as it is.
      count: number of rows there are.

    Returns:
      int64 [...].

    Raises:
      InputError: a mask of another length, a row that is not there, or rows that are no integers.
    """
    if rows is None or isinstance(rows, slice):
        return np.arange(count, dtype=np.int64)[slice(None) if rows is None else rows]
    if not isinstance(rows, np.ndarray | list | tuple | int):
        return rows
    found = np.asarray(rows)
    if found.dtype == bool:
        if found.shape != (count,):
            raise InputError(f"a mask of {list(found.shape)} for {count:,} rows: give one value for each")
        return np.flatnonzero(found)
    if found.size == 0:
        return found.astype(np.int64)
    if found.dtype.kind not in "iu":
        raise InputError(f"rows are {found.dtype}: give integers from 0 to {count - 1:,}, or a mask")
    found = np.where(found < 0, found + count, found).astype(np.int64)
    if (wrong := (found < 0) | (found >= count)).any():
        raise InputError(f"row {np.asarray(rows)[wrong][0]} of {count:,} rows: the last is {count - 1:,}")
    return found
