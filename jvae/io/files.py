"""Whole or absent: write to a temporary name beside the target, then rename. One writer at a time; checksums."""

import contextlib
import errno
import json
import os
import re
import shutil
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jvae.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

CHECKSUM = "checksum"
_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):/+(?P<rest>.*)")


def uri(path: str | os.PathLike[str]) -> str | None:
    """`path` as the address that it is, such as gs://bucket/folder; None where it is on a disk.

    `pathlib.Path` makes one slash of the two behind the colon; here they are two again.
    """
    match = _ADDRESS.fullmatch(os.fspath(path))
    return f"{match['scheme']}://{match['rest']}" if match else None


def on_disk(path: str | os.PathLike[str]) -> Path:
    """`path`; InputError where it is an address, of which a folder `gs:` here would be made."""
    if address := uri(path):
        raise InputError(f"{address} is not on a disk: give a folder, and copy or mount what is elsewhere")
    return Path(path)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path to write; on success it becomes `path`, on any error it is removed.

    The temporary name lies beside `path`, so the rename is atomic; a file that was there is replaced only when the
    new one is complete and on disk. For a directory, create the yielded path with `mkdir`; `path` must then be absent.

    Args:
      path: the file or directory to write. Its parent is created.

    Raises:
      InputError: it is no path on a disk.
      OSError: the disk is full, or the place cannot be written. `path` is as it was.
    """
    path = on_disk(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tidy(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        if part.is_file():
            with open(part, "rb+") as file:
                os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        _remove(part)


def tidy(path: Path) -> None:
    """Removes what killed processes have left of their writes to `path`.

    A directory that one of them had moved away, to `.NAME.PID.old`, and not yet replaced is put back.
    """
    ours = re.compile(rf"\.{re.escape(path.name)}\.(\d+)\.(part|old)")
    for name in os.listdir(path.parent) if path.parent.is_dir() else ():
        match = ours.fullmatch(name)
        if not match or _alive(int(match[1])):
            continue
        if match[2] == "old" and not path.exists():
            path.with_name(name).rename(path)
        else:
            _remove(path.with_name(name))


def tidy_all(folder: Path) -> None:
    """Removes from the folder what killed processes have left of writing any file there."""
    for name in os.listdir(folder) if folder.is_dir() else ():
        if name.endswith(".part") and (match := re.fullmatch(r"\..+\.(\d+)\.part", name)) and not _alive(int(match[1])):
            _remove(folder / name)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # another user's
    return pid != os.getpid()


@contextlib.contextmanager
def locked(path: str | os.PathLike[str], what: object) -> Iterator[None]:
    """Holds the lock file `path` while entered. The system frees it when the process dies, however it dies.

    Where the system or the file system knows no such locks, there is none.

    Args:
      path: of the file, which holds the process's id and is removed at the end. Its parent is created.
      what: is locked, for the message.

    Raises:
      InputError: another process, which is named, holds it; or it is no path on a disk.
      OSError: the file cannot be made.
    """
    path = on_disk(path)
    if fcntl is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        while True:
            file = stack.enter_context(open(path, "a+"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                pid = file.read().strip()
                who = f"process {pid}" if pid else "another process"
                raise InputError(f"{what} is in use by {who}: wait until it ends, or give another --out") from None
            except OSError as error:
                if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                    raise
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    break
            file.close()  # its holder removed it between our opening and our locking it
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # while it is still locked


def holder(path: str | os.PathLike[str]) -> str | None:
    """The id of the process that holds the lock file `path` (see `locked`), None if none does."""
    if fcntl is None or not os.path.exists(path):
        return None
    with contextlib.suppress(FileNotFoundError), open(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return file.read().strip() or "unknown"
    return None


def seal(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a JSON object and their checksum, for `unseal`."""
    return {**fields, CHECKSUM: _checksum(fields)}


def unseal(fields: Any) -> dict[str, Any]:
    """What was given to `seal`, checked.

    Args:
      fields: as they come from JSON.

    Raises:
      ValueError: it is no JSON object, or not the one that was written.
    """
    if not isinstance(fields, dict):
        raise ValueError("it is no JSON object")
    known, content = fields.get(CHECKSUM), {k: v for k, v in fields.items() if k != CHECKSUM}
    if known != _checksum(content):
        raise ValueError("its content is not what was written")
    return content


def _checksum(fields: Mapping[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(fields, sort_keys=True).encode()):08x}"
