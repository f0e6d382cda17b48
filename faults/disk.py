"""A full disk, and folders without the right to write: one line, what was there stays, and the same command goes on.

    python -m faults --only disk

The disk is full by a limit on the size of files (EFBIG), and where this process may mount one, by a small tmpfs.
"""

import ctypes
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from faults import child
from faults.row import Row

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1  # of Linux's prctl


def run(count: int, folder: Path) -> list[Row]:
    """Each task `count` times on a full disk of each kind, and without rights."""
    whole, cache = child.prepare(folder)
    rows = []
    for task in child.TASKS:
        for how, trial in (("file size limit", _limited), ("full tmpfs", _tmpfs), ("no right to write", _no_rights)):
            if trial is _tmpfs and os.geteuid():
                continue
            wrong = []
            for i in range(count):
                place = folder / f"{task.name.replace(' ', '-')}-{how.replace(' ', '-')}-{i}"
                child.equip(place, task, whole)
                problem = trial(task, place, whole, cache, i)
                if problem:
                    (place / "wrong.txt").write_text(f"{problem}\n")
                    wrong.append(problem)
                else:
                    shutil.rmtree(place)
            result = "one line; what was there stays; the same command then finishes, bit for bit as undisturbed"
            rows.append(Row(f"{how}: {task.name}", count, result, len(wrong)))
    return rows


def _fails(task: child.Task, place: Path, cache: Path, **options: Any) -> str:
    """What is wrong with how the task fails; "" if it does so in one line and leaves checkpoints that are whole."""
    before = {name: content for name, content in task.made(place).items() if name.startswith("checkpoint")}
    ended = child.finish(task, place, cache, **options)
    if ended.status != 2 or len(ended.errors) != 1 or ended.errors[0].startswith("Traceback"):
        return f"ended with {ended.status}, {ended.errors}"
    after = task.made(place)
    if any(name.rpartition("/")[2].startswith(".") for name in after):
        return f"left {sorted(after)}"
    lost = [name for name in before if name not in after and name == max(before)]
    return f"{lost} lost" if lost else ""


def _goes_on(task: child.Task, place: Path, whole: Path, cache: Path) -> str:
    """What is wrong after the same command again, undisturbed."""
    ended = child.finish(task, place, cache)
    if ended.status:
        return f"the same command ended with {ended.status}, {ended.errors}"
    name = child.difference(task.made(place), task.made(whole))
    return f"{name} differs" if name else ""


def _limited(task: child.Task, place: Path, whole: Path, cache: Path, i: int) -> str:
    """Files may grow no larger than some share of the largest that the task writes."""
    sizes = [p.stat().st_size for p in (whole / (child.RUN if task.needs else child.FACES)).rglob("*") if p.is_file()]
    largest = {child.PACK: max(sizes), child.TRAIN: max(sizes), child.VECTORS: 20_000, child.FIGURE: 10_000}[task]
    limit = largest * (i % 15 + 1) // 16

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return _fails(task, place, cache, preexec_fn=limited) or _goes_on(task, place, whole, cache)


def _tmpfs(task: child.Task, place: Path, whole: Path, cache: Path, i: int) -> str:
    """The folder lies on a disk with little room left; what came of it is then copied to one that has more."""
    room = {child.PACK: 300_000, child.TRAIN: 700_000, child.VECTORS: 4096, child.FIGURE: 4096}[task]
    with _mounted(64 << 20) as small:
        shutil.copytree(place, small, dirs_exist_ok=True)
        filling = small / "filling"
        filling.write_bytes(bytes(shutil.disk_usage(small).free - room * (i % 3 + 1)))
        problem = _fails(task, small, cache)
        filling.unlink()
        shutil.rmtree(place)
        shutil.copytree(small, place)
    return problem or _goes_on(task, place, whole, cache)


@contextmanager
def _mounted(size: int) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="jvae-small-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)
        path.rmdir()


def _no_rights(task: child.Task, place: Path, whole: Path, cache: Path, i: int) -> str:
    """Folders in which nothing may be made, for a child that is held to that even as root."""
    folders = [place, *(path for path in place.rglob("*") if path.is_dir())]

    def bound() -> None:
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)

    for path in folders:
        path.chmod(0o555)
    try:
        problem = _fails(task, place, cache, preexec_fn=bound)
    finally:
        for path in folders:
            path.chmod(0o755)
    return problem or _goes_on(task, place, whole, cache)
