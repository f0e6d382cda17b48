"""The images of a folder or of a zip, by name; both may be read from many threads, after a fork and by a process."""

import mmap
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Protocol

from jvae.errors import InputError

MOST_BYTES = 256 << 20  # of an image's file: photographs of the largest cameras have some 100 MB

# What counts as an image by its name; what it is, its bytes say. HEIC is not read, and is not passed over in silence.
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".jp2")
SUFFIXES += (".ppm", ".pgm", ".pnm", ".heic", ".heif")


class Files(Protocol):
    """Image files by their names."""

    path: Path
    kind: str

    @property
    def names(self) -> list[str]:
        """The names of the images: base names, or paths with / where folders lie in one another."""
        ...

    def read(self, name: str) -> bytes:
        """The bytes of file `name`; InputError when they cannot be read."""
        ...

    def size(self, name: str) -> int:
        """How many bytes file `name` has."""
        ...


class FolderFiles:
    """The image files of one folder, or of all folders in it too."""

    kind = "folder"

    def __init__(self, path: Path, nested: bool = False):
        """Lists the folder; hidden files are left out (macOS copies bring `._000001.jpg`).

        Args:
          path: the folder.
          nested: look into the folders in it too; a name is then a path, and names are sorted.
        """
        self.path = path
        if nested:
            self.names = sorted(_walk(os.fspath(path), "", ()))
            return
        with os.scandir(path) as entries:
            self.names = [e.name for e in entries if _is_image(e.name) and e.is_file()]  # no pipe, which would block

    def read(self, name: str) -> bytes:
        """The bytes of file `name`; InputError when it cannot be read."""
        try:
            return read_file(f"{self.path}/{name}", name)
        except OSError as error:
            raise InputError(f"cannot read {name}: {error.strerror}") from None

    def size(self, name: str) -> int:
        """How many bytes file `name` has."""
        return os.path.getsize(f"{self.path}/{name}")


class ZipFiles:
    """The image files of a zip, wherever in it they lie, read without unpacking.

    zipfile's own reader seeks a shared file under a lock, and a forked child shares the offset without the lock. Here
    the directory is read once, and a file is a slice of a memory map.
    """

    kind = "zip"

    def __init__(self, path: Path, nested: bool = False):
        """Reads the zip's directory; InputError when it is none.

        Args:
          path: the zip.
          nested: a name is the whole path in the zip, not its last part, and names are sorted.
        """
        self.path, self._nested = path, nested
        try:
            with zipfile.ZipFile(path) as archive:
                infos = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError, EOFError, OverflowError):
            raise InputError(f"{path} is not a whole zip file: download it again") from None
        self._infos: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            name = whole = info.filename.replace("\\", "/").lstrip("/")
            name = name.rsplit("/", 1)[-1]
            if not _is_image(name) or whole.startswith("__MACOSX/"):
                continue
            name = whole if nested else name
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise InputError(f"{path} holds {name} encrypted or in an unusual compression: unpack it")
            if stat.S_ISLNK(info.external_attr >> 16):
                raise InputError(f"{path} holds {name} as a link: unpack it and put the file itself there")
            if info.file_size > MOST_BYTES:
                raise InputError(
                    f"{path} holds {name} of {info.file_size:,} bytes, and {MOST_BYTES:,} are the most of an image"
                )
            if name in self._infos:
                raise InputError(f"{path} holds {name} twice, also as {info.filename}: unpack it and keep one")
            self._infos[name] = info
        with open(path, "rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    @property
    def names(self) -> list[str]:
        """The names of the images, in the zip's order unless they are paths."""
        return sorted(self._infos) if self._nested else list(self._infos)

    def size(self, name: str) -> int:
        """How many bytes file `name` has, unpacked."""
        return self._infos[name].file_size

    def __reduce__(self) -> tuple[Any, ...]:
        return ZipFiles, (self.path, self._nested)  # a map of memory is opened anew by the process it is sent to

    def read(self, name: str) -> bytes:
        """The bytes of file `name`; InputError when they are damaged."""
        info = self._infos[name]
        # The local header's name and extra field may be of other lengths than the directory's.
        head = self._map[info.header_offset : info.header_offset + 30]
        try:
            magic, name_length, extra_length = struct.unpack("<4s22xHH", head)
            start = info.header_offset + 30 + name_length + extra_length
            data = self._map[start : start + info.compress_size]
            if info.compress_type == zipfile.ZIP_DEFLATED:
                # No more than the directory says, whatever comes: a kilobyte may inflate to a thousand.
                data = zlib.decompressobj(-15).decompress(data, info.file_size + 1)
        except (struct.error, zlib.error, ValueError, IndexError, OverflowError):
            raise InputError(f"{name} is damaged in {self.path.name}") from None
        if magic != b"PK\x03\x04" or len(data) != info.file_size or zlib.crc32(data) != info.CRC:
            raise InputError(f"{name} is damaged in {self.path.name}")
        return data


def read_file(path: str | os.PathLike[str], name: str | None = None) -> bytes:
    """The bytes of an image's file.

    Raises:
      InputError: it has more than MOST_BYTES; by `name`, or else its path.
      OSError: it cannot be read.
    """
    with open(path, "rb", buffering=0) as file:  # half the time of a Path and a buffer
        if (size := os.fstat(file.fileno()).st_size) > MOST_BYTES:
            raise InputError(f"{name or path} has {size:,} bytes, and {MOST_BYTES:,} are the most of an image")
        return file.read()


def open_images(root: Path, listed: Collection[str]) -> tuple[Files, str]:
    """The images of a CelebA folder: `img_align_celeba/`, once or twice nested, or `img_align_celeba.zip`.

    Args:
      root: the folder; its `Img/` is searched too.
      listed: names of images. Of several such places the one with the most of these is taken; of equals the first
        folder, or else the first zip. What comes after one that has all is not looked at.

    Returns:
      The images, and a line that says what was passed over; empty where nothing was.

    Raises:
      InputError: there is no such place, there are no images in it, or the only one is a damaged zip.
    """
    bases, name = (root, root / "Img"), "img_align_celeba"
    places = [place for base in bases for place in (base / name, base / name / name) if place.is_dir()]
    places += [place for base in bases if (place := base / f"{name}.zip").is_file()]
    wanted, most, others = frozenset(listed), -1, []
    best: Files | None = None
    broken: InputError | None = None
    for place in places:
        try:
            files: Files = FolderFiles(place) if place.is_dir() else ZipFiles(place)
        except InputError as error:
            broken = broken or error
            others.append(str(error))
            continue
        if not files.names:
            continue
        here = len(wanted.intersection(files.names))
        if best:
            worse = (best.path, most) if here > most else (place, here)
            others.append(f"{worse[0]} has {worse[1]}")
        if here > most:
            most, best = here, files
        if most == len(wanted):
            break
    if best:
        line = f"images of {best.path}, which has {most} of the {len(wanted)} in the table; {'; '.join(others)}"
        return best, line if others else ""
    if broken:
        raise broken
    if places:
        raise InputError(f"no images (.jpg) in {places[0]}: unpack or copy CelebA's aligned images there")
    raise InputError(
        f"no img_align_celeba folder and no img_align_celeba.zip in {root}: put CelebA's aligned images there"
    )


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _walk(root: str, inner: str, above: tuple[str, ...]) -> Iterator[str]:
    """The images in folder `inner` ("" or "a/b/") of `root`; a link to one of the folders `above` is passed over."""
    real = os.path.realpath(f"{root}/{inner}")
    if real in above:
        return
    with os.scandir(f"{root}/{inner}") as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            if entry.is_dir():
                yield from _walk(root, f"{inner}{entry.name}/", (*above, real))
            elif _is_image(entry.name) and entry.is_file():
                yield f"{inner}{entry.name}"
