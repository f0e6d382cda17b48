"""kill -9 at moments spread over each command's work; the same command again, held against an undisturbed one.

    python -m faults --only kill

A folder in which the outcome was another stays, named by its task and number, with the moment in killed.txt.
"""

import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from faults import child
from faults.row import Row

INSTANT = 0.02  # seconds after a checkpoint begins to be written, in which the kill comes
WRITES = 10  # checkpoints of a training
TRAININGS = (child.TRAIN, child.SWEEP)


def run(count: int, folder: Path, tasks: tuple[child.Task, ...] = (*child.TASKS, child.SWEEP)) -> list[Row]:
    """Kills each task `count` times at moments of its work, and training as often while it writes a checkpoint.

    A sweep, of four trainings, is killed two times in five.
    """
    whole, cache = child.prepare(folder, tuple(dict.fromkeys((*child.TASKS, *tasks))))
    every, rows = count, []
    for task in tasks:
        count = -(-2 * every // 5) if task is child.SWEEP else every
        begins, lasts = _work(task, child.equip(folder / f"timed-{task.name.replace(' ', '-')}", task, whole), cache)
        for writing in (False, True) if task is child.TRAIN else (False,):

            def trial(
                i: int,
                task: child.Task = task,
                writing: bool = writing,
                begins: float = begins,
                lasts: float = lasts,
                count: int = count,
            ) -> tuple[bool, str]:
                place = folder / f"{task.name.replace(' ', '-')}-{i}{'-writing' * writing}"
                share = (i + np.random.default_rng(i).random()) / count
                # Every other kill of a task that writes in an instant comes at that instant.
                at_write = writing or (i % 2 == 1 and task is not child.TRAIN)
                child.equip(place, task, whole)
                killed, wrong = _trial(task, place, whole, cache, share, begins, lasts, at_write=at_write)
                if wrong:
                    (place / "killed.txt").write_text(
                        f"at {share:.3f} of its {'writes' if at_write else 'work'}: {wrong}\n"
                    )
                else:
                    shutil.rmtree(place)
                return killed, wrong

            with ThreadPoolExecutor(os.cpu_count()) as pool:  # a child keeps a core busy
                outcomes = list(pool.map(trial, range(count)))
            late = sum(not killed for killed, _ in outcomes)
            when = "while it writes a checkpoint" if writing else "at moments of its work"
            result = f"the same command finishes, bit for bit as undisturbed; {late} had ended before"
            rows.append(Row(f"kill -9: {task.name}, {when}", count, result, sum(bool(wrong) for _, wrong in outcomes)))
    return rows


def _trial(
    task: child.Task,
    place: Path,
    whole: Path,
    cache: Path,
    share: float,
    begins: float,
    lasts: float,
    *,
    at_write: bool,
) -> tuple[bool, str]:
    """Whether a child died of the kill, and what was wrong after the same command again."""
    process = child.start(task, place, cache)
    if at_write:
        for _ in range(1 + int(share * WRITES) if task in TRAININGS else 1):
            _wait(process, place, task.writing, there=False)
            _wait(process, place, task.writing)
        time.sleep(share * INSTANT * (task in TRAININGS))
    elif task.begun:
        _wait(process, place, task.begun)
        time.sleep(share * lasts)
    else:
        time.sleep(begins + share * lasts)
    process.kill()
    killed = child.end(process).status < 0
    expected = task.made(whole)
    again = child.finish(task, place, cache)
    there_already = task is child.PACK and any("exists: give another --out" in line for line in again.errors)
    if again.status and not there_already:
        return killed, f"the same command ended with {again.status}: {again.errors}"
    found = task.made(place)
    name = child.difference(found, expected)
    return killed, f"{name} differs" if name else ""


def _wait(process: subprocess.Popen[str], folder: Path, pattern: str, *, there: bool = True) -> None:
    """Until something matches in `folder`, or nothing does, or the process has ended."""
    while any(folder.glob(pattern)) != there and process.poll() is None:
        time.sleep(0.0005)


def _work(task: child.Task, place: Path, cache: Path) -> tuple[float, float]:
    """Seconds from the start of an undisturbed child to its first sign of work, and from there to its end."""
    start = time.perf_counter()
    process = child.start(task, place, cache)
    if task.begun:
        _wait(process, place, task.begun)
    begins = time.perf_counter() - start
    child.end(process)
    ends = time.perf_counter() - start
    shutil.rmtree(place)
    return (begins, ends - begins) if task.begun else (0.4 * ends, 0.6 * ends)  # the imports come first
