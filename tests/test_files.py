import errno
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jvae.errors import InputError
from jvae.io.files import locked, replacing, seal, unseal


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
        "from jvae.io.files import replacing\n"
        "with replacing(sys.argv[1]) as part:\n"
        "    part.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", script, str(target)], cwd=root, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not target.exists()
    assert len(list(tmp_path.iterdir())) == 1  # the half-written file, under a name nobody opens
    with replacing(target) as part:
        part.write_bytes(b"new")
    assert list(tmp_path.iterdir()) == [target]


def test_only_what_the_dead_left_for_this_target_is_cleared(tmp_path: Path):
    dead, alive = 2**22 + 1, os.getppid()  # beyond any pid there is, and one that is
    others = [f".a[1].png.{alive}.part", f".b.png.{dead}.part", f".a[1].png.{dead}.txt"]
    for name in (*others, f".a[1].png.{dead}.part", f".a[1].png.{2**70}.part"):
        (tmp_path / name).write_bytes(b"half")
    with replacing(tmp_path / "a[1].png") as part:
        part.write_bytes(b"new")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*others, "a[1].png"])


def test_a_place_that_cannot_be_written_is_an_os_error(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError), replacing(tmp_path / "file" / "a") as part:
        part.write_bytes(b"new")


def test_a_second_holder_is_refused_and_the_first_is_named(tmp_path: Path):
    path = tmp_path / "run" / ".lock"
    with locked(path, "run"):
        with pytest.raises(InputError, match=f"^run is in use by process {os.getpid()}: wait until it ends, or give"):
            with locked(path, "run"):
                raise AssertionError
        assert path.exists()
    assert not path.exists()
    with locked(path, "run"):
        pass


def test_a_lock_of_a_killed_process_is_free(tmp_path: Path):
    path = tmp_path / "lock"
    script = (
        "import os, signal, sys\n"
        "from jvae.io.files import locked\n"
        "with locked(sys.argv[1], 'run'):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parent.parent
    subprocess.run([sys.executable, "-c", script, str(path)], cwd=root, check=False)
    assert path.exists()
    with locked(path, "run"):
        assert path.read_text() == f"{os.getpid()}\n"


def test_a_lock_file_removed_meanwhile_lets_no_two_in(tmp_path: Path):
    """Many threads take the lock again and again, each removing the file; at most one is ever inside."""
    path, inside, most = tmp_path / "lock", [], []

    def take(_: int) -> int:
        count = 0
        for _ in range(300):
            try:
                with locked(path, "run"):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
                    count += 1
            except InputError:
                pass
        return count

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(take, range(4))) == len(most) > 0
    assert max(most) == 1


def test_what_is_sealed_is_what_comes_back(tmp_path: Path):
    fields = {"b": [1, 2.5], "a": {"x": "ü"}, "c": float("inf")}
    text = json.dumps(seal(fields))
    assert unseal(json.loads(text)) == fields
    for changed in (text.replace("2.5", "2.4"), text.replace('"a"', '"d"'), text.replace("checksum", "checksun"), "[]"):
        with pytest.raises(ValueError, match=r"not what was written|no JSON object"):
            unseal(json.loads(changed))
    with pytest.raises(ValueError):
        unseal(fields)
