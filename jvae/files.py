"""Whole or absent: write to a temporary name beside the target, then rename."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path to write; on success it becomes `path`, on any error it is removed.

    The temporary name lies beside `path`, so the rename is atomic; a file that was there is replaced only when the
    new one is complete and on disk. For a directory, create the yielded path with `mkdir`; `path` must then be absent.

    Args:
      path: the file or directory to write. Its parent is created.

    Raises:
      OSError: the disk is full, or the place cannot be written. `path` is as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        if part.is_file():
            with open(part, "rb+") as file:
                os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
