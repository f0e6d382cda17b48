import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jvae.files import replacing


def test_a_file_appears_when_it_is_complete(tmp_path: Path):
    target = tmp_path / "grid.png"
    with replacing(target) as part:
        part.write_bytes(b"new")
        assert part.parent == target.parent
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path: Path):
    target = tmp_path / "vectors.npz"
    target.write_bytes(b"old")
    with replacing(target) as part:
        part.write_bytes(b"new")
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("old", [None, b"old"])
def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path: Path, error: type[BaseException], old: bytes | None):
    target = tmp_path / "grid.png"
    if old is not None:
        target.write_bytes(old)
    with pytest.raises(error), replacing(target) as part:
        part.write_bytes(b"half")
        raise error
    assert (target.read_bytes() if target.exists() else None) == old
    assert len(list(tmp_path.iterdir())) == (old is not None)


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    target = tmp_path / "grid.png"
    target.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"), replacing(target) as part:
        part.write_bytes(b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_file_is_on_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("fsync"), fsync(fd))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("replace"), replace(a, b))[1])
    with replacing(tmp_path / "a") as part:
        part.write_bytes(b"new")
    assert calls == ["fsync", "replace"]


def test_writing_nothing_is_an_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_directory_appears_when_it_is_complete(tmp_path: Path):
    target = tmp_path / "data" / "faces"
    with replacing(str(target)) as part:
        part.mkdir()
        (part / "images.npy").write_bytes(b"x")
        assert not target.exists()
    assert (target / "images.npy").read_bytes() == b"x"
    assert list(target.parent.iterdir()) == [target]


def test_an_error_removes_the_whole_directory(tmp_path: Path):
    with pytest.raises(RuntimeError), replacing(tmp_path / "faces") as part:
        part.mkdir()
        (part / "images.npy").write_bytes(b"x")
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_a_directory_is_not_overwritten(tmp_path: Path):
    target = tmp_path / "faces"
    target.mkdir()
    (target / "images.npy").write_bytes(b"old")
    with pytest.raises(OSError), replacing(target) as part:
        part.mkdir()
        (part / "images.npy").write_bytes(b"new")
    assert (target / "images.npy").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_process_leaves_no_target(tmp_path: Path):
    target = tmp_path / "faces"
    script = (
        "import os, signal, sys\n"
        "from jvae.files import replacing\n"
        "with replacing(sys.argv[1]) as part:\n"
        "    part.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", script, str(target)], cwd=root, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not target.exists()
    assert len(list(tmp_path.iterdir())) == 1  # the half-written file, under a name nobody opens


def test_a_place_that_cannot_be_written_is_an_os_error(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError), replacing(tmp_path / "file" / "a") as part:
        part.write_bytes(b"new")
