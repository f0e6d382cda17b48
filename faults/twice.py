"""Two packs to one place, two trainings in one run directory: the second is refused at once, the first goes on.

python -m faults --only twice
"""

import shutil
import signal
import time
from pathlib import Path

from faults import child
from faults.row import Row


def run(count: int, folder: Path) -> list[Row]:
    """Starts pack and train `count` times each, and again while they are at work."""
    whole, cache = child.prepare(folder)
    rows = []
    for task, lock in ((child.PACK, f".{child.FACES}.lock"), (child.TRAIN, f"{child.RUN}/.lock")):
        failed = 0
        for i in range(count):
            place = child.equip(folder / f"{task.name.replace(' ', '-')}-{i}", task, whole)
            wrong = _trial(task, place / lock, whole, cache)
            if wrong:
                (place / "wrong.txt").write_text(f"{wrong}\n")
                failed += 1
            else:
                shutil.rmtree(place)
        result = "the second ends with one line that names the first, which finishes, bit for bit as undisturbed"
        rows.append(Row(f"twice at once: {task.name}", count, result, failed))
    return rows


def _trial(task: child.Task, lock: Path, whole: Path, cache: Path) -> str:
    """What is wrong; "" if nothing."""
    place = lock.parent if task is child.PACK else lock.parent.parent
    first = child.start(task, place, cache)
    while not (lock.exists() and lock.read_text()) and first.poll() is None:
        time.sleep(0.001)
    first.send_signal(signal.SIGSTOP)  # so that the second comes while it is at work
    second = child.finish(task, place, cache)
    first.send_signal(signal.SIGCONT)
    ended = child.end(first)
    if second.status != 2 or len(second.errors) != 1 or f"is in use by process {first.pid}: " not in second.errors[0]:
        return f"the second ended with {second.status}, {second.errors}"
    if ended.status:
        return f"the first ended with {ended.status}, {ended.errors}"
    name = child.difference(task.made(place), task.made(whole))
    return f"{name} differs" if name else ""
