"""Where a data set lies: on a disk, or in a bucket of Google Cloud Storage, `gs://bucket/folder`."""

import importlib
import os
from pathlib import Path

from jvae.errors import InputError
from jvae.io.files import uri


def locate(path: str | os.PathLike[str]) -> Path:
    """`path` to read from.

    Returns:
      A `pathlib.Path`; for what is in a bucket etils' `epath.Path`, which does the same there.

    Raises:
      InputError: it is in a bucket of another kind than gs://, or gcsfs, which reads those, is not installed.
    """
    address = uri(path)
    if address is None:
        return Path(path)
    if not address.startswith("gs://"):
        raise InputError(f"{address} cannot be read: give a folder or gs://BUCKET/FOLDER; other buckets can be mounted")
    try:
        importlib.import_module("gcsfs")
        from etils import epath
    except ImportError:
        raise InputError(f"{address}: gcsfs, which reads it, is not installed: pip install 'jvae[bucket]'") from None
    return epath.Path(address)  # pyright: ignore[reportReturnType]


def size(path: Path) -> int:
    """Bytes of the file."""
    found = path.stat()
    return found.st_size if isinstance(found, os.stat_result) else found.length
