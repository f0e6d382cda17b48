"""Several processes as one run: the same losses and vectors as one, and an end and a way on when one of them is killed.

Everything that is needed to look closer stays in the folder: the runs, and what each process wrote.
"""

import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np

from faults.row import Row
from jvae.data.packing import IMAGES, LABELS
from jvae.latent.vectors import AttributeVectors
from jvae.runtime import watch
from jvae.training.log import read_metrics
from tests.launch import Ended, launch, start, wait

MINUTE = 60.0
SMALL = "--model.widths 4 4 --model.latent-dim 4 --model.dropout 0 --loop.batch-size 16".split()
SAME = "--loop.chunk-steps 5 --loop.dtype float32 --loop.residency streamed".split()
TRAIN = ("-m", "jvae", "train", "book", *SMALL, *SAME)


def run(count: int, folder: Path) -> list[Row]:
    """All of it; `count` of the kills, and of damage; a fifth as often those that take longer."""
    pack = ("-m", "jvae", "pack", "rendered", "--count", "400", "--size", "16")
    _succeed(launch(1, *pack, "--out", str(folder / "store"), folder=folder / "pack"))
    return [
        *same_as_one(folder),
        *goes_on(folder),
        killed(folder, 2, count),
        terminated(folder, 2, max(1, count // 5)),
        paused(folder, 2, max(1, count // 5)),
        damaged_for_one(folder, 2, count),
    ]


def same_as_one(folder: Path, steps: int = 200) -> list[Row]:
    """Trains in 1, 2 and 4 processes, and takes the vectors of the run of one in 1, 2 and 4."""
    found = []
    for processes in (1, 2, 4):
        out = folder / f"of-{processes}"
        _succeed(_train(folder, processes, out, steps))
        vectors = ("-m", "jvae", "vectors", "--run", str(folder / "of-1"), "--data", str(folder / "store"))
        file = folder / f"of-{processes}.npz"
        _succeed(launch(processes, *vectors, "--out", str(file), folder=folder / f"vectors-{processes}"))
        found.append((losses(out), AttributeVectors.load(file)))
    (losses_of_one, one), rows = found[0], []
    for processes, (of_these, known) in zip((2, 4), found[1:], strict=True):
        worst = float(np.abs(of_these / losses_of_one - 1).max())
        rows.append(
            Row(
                f"{steps} steps in {processes} processes", 1, f"losses of one process to {worst:.1e}", int(worst > 1e-4)
            )
        )
        apart = max(
            float(np.linalg.norm(known[name].vector - one[name].vector) / one[name].length) for name in one.names
        )
        rows.append(
            Row(f"vectors in {processes} processes", 1, f"those of one process to {apart:.1e}", int(apart > 1e-5))
        )
    return rows


def goes_on(folder: Path) -> list[Row]:
    """Trains on, from 1 to 2, from 2 to 1 and from 2 to 4 processes, what the first half began."""
    rows = []
    for before, after in ((1, 2), (2, 1), (2, 4)):
        out = folder / f"{before}-to-{after}"
        _succeed(_train(folder, before, out, 100))
        _succeed(_train(folder, after, out, 200))
        worst = float(np.abs(losses(out) / losses(folder / "of-1") - 1).max())
        rows.append(
            Row(f"a run of {before} goes on in {after}", 1, f"losses of one process to {worst:.1e}", int(worst > 1e-4))
        )
    return rows


def killed(folder: Path, processes: int, count: int, steps: int = 200, seed: int = 0) -> Row:
    """Kills one process, at random, again and again, until the run is done; then compares it with the undisturbed."""
    rng, out, failed, longest, kills = random.Random(seed), folder / "killed", 0, 0.0, 0
    while kills < count:
        here = folder / f"kill-{kills}"
        if done(out, steps):
            shutil.rmtree(out)
        started = _start(folder, processes, out, steps, here)
        victim = rng.randrange(processes)
        time.sleep(rng.uniform(2, 25))  # from their start to the end of the run, on two cores
        started[victim].kill()
        ended = wait(started, here)
        others = [e for i, e in enumerate(ended) if i != victim]
        all_done = done(out, steps) and all(e.code == 0 for e in others)  # it was about to leave
        if ended[victim].code != -signal.SIGKILL or all_done:  # too late
            continue
        kills += 1
        longest = max(longest, *(e.seconds for e in others))
        if not all(_ended_well(e, victim) for e in others):
            failed += 1
            print(f"kill {kills - 1}, of process {victim}, ended otherwise: see {here}")
    _succeed(_train(folder, processes, out, steps))
    worst = float(np.abs(losses(out) / losses(folder / "of-1") - 1).max())
    said = f"the others ended with a line within {longest:.1f} s; the run went on, losses of one process to {worst:.1e}"
    return Row(f"kill -9 of one of {processes} processes", count, said, failed + int(worst > 1e-4))


def terminated(folder: Path, processes: int, count: int, steps: int = 200, seed: int = 0) -> Row:
    """Sends SIGTERM to one process while it trains: all must stop at one step, saved."""
    rng, failed = random.Random(seed), 0
    for i in range(count):
        out, here = folder / f"terminated-{i}", folder / f"term-{i}"
        started = _start(folder, processes, out, 100 * steps, here)
        _until_it_trains(out)
        time.sleep(rng.uniform(0, 3))
        started[rng.randrange(processes)].send_signal(signal.SIGTERM)
        ended = wait(started, here)
        if [e.code for e in ended] != [128 + signal.SIGTERM] * processes or "saved in" not in ended[0].out:
            failed += 1
            print(f"SIGTERM {i} ended otherwise: see {here}")
    return Row(f"SIGTERM to one of {processes} processes", count, "all stopped at one step, saved", failed)


def paused(folder: Path, processes: int, count: int, seconds: float = 180, steps: int = 200) -> Row:
    """Stops one process in the midst for so many seconds, as a debugger, a laptop's lid or a busy machine does.

    All must go on when it does, to the losses of an undisturbed run.
    """
    failed, worst = 0, 0.0
    for i in range(count):
        out, here, victim = folder / f"paused-{i}", folder / f"pause-{i}", i % processes
        started = _start(folder, processes, out, steps, here)
        _until_it_trains(out)
        started[victim].send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        started[victim].send_signal(signal.SIGCONT)
        ended = wait(started, here)
        apart = np.inf
        if [e.code for e in ended] == [0] * processes:
            apart = float(np.abs(losses(out) / losses(folder / "of-1") - 1).max())
        worst = max(worst, apart)
        if apart > 1e-4:
            failed += 1
            print(f"SIGSTOP {i}, of process {victim}, ended otherwise: see {here}")
    said = f"all went on when it did, losses of one process to {worst:.1e}"
    return Row(f"SIGSTOP of one of {processes} processes for {seconds:.0f} s", count, said, failed)


def damaged_for_one(folder: Path, processes: int, count: int, seed: int = 0) -> Row:
    """Damages the copy of the store that one process reads, or of the run: all must end soon, each with one line."""
    rng, failed, longest = random.Random(seed), 0, 0.0
    for i in range(count):
        victim, here = i % processes, folder / f"harm-{i}"
        harm = HARMS[i // processes % len(HARMS)]
        stores = [here / f"store-{k}" for k in range(processes)]
        for store in stores:
            shutil.copytree(folder / "store", store)
        harm(stores[victim], rng)
        each = [("--data", str(store), "--out", str(here / "run"), "--loop.steps", "4000") for store in stores]
        ended = wait(start(processes, *TRAIN, folder=here, each=each), here)
        longest = max(longest, *(e.seconds for e in ended))
        if not all(_says_damage(e, own=k == victim) for k, e in enumerate(ended)):
            failed += 1
            print(f"damage {i} for process {victim} ended otherwise: see {here}")
        else:
            shutil.rmtree(here)
    said = f"all ended with a line, within {longest:.1f} s of the first"
    return Row(f"damage that one of {processes} processes sees", count, said, failed)


def _says_damage(ended: Ended, *, own: bool) -> bool:
    """Ended soon, with one line about the damage."""
    said = [line for line in ended.lines if line.startswith("error: ")]
    if len(said) != 1 or "Traceback" in ended.err or ended.seconds > MINUTE:
        return False
    if ended.code == 2:
        return own or "other settings or data" in said[0]
    return ended.code == watch.EXIT and not own


def _flip_pixels(store: Path, rng: random.Random) -> None:
    _flip(store / IMAGES, rng, 200)


def _flip_labels(store: Path, rng: random.Random) -> None:
    _flip(store / LABELS, rng, 0)


def _lose_pixels(store: Path, rng: random.Random) -> None:
    (store / IMAGES).unlink()


def _flip(path: Path, rng: random.Random, least: int) -> None:
    data = bytearray(path.read_bytes())
    for at in rng.choices(range(least, len(data)), k=rng.choice((1, 1, 2, 200))):
        data[at] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


HARMS = (_flip_pixels, _flip_labels, _lose_pixels)


def _until_it_trains(out: Path) -> None:
    until = time.monotonic() + MINUTE
    while not (out / "metrics.jsonl").exists() and time.monotonic() < until:
        time.sleep(0.1)


def losses(out: Path) -> np.ndarray:
    """Of each chunk, [n]."""
    return np.array([row["loss"] for row in read_metrics(out) if row["split"] == "train"])


def done(out: Path, steps: int) -> bool:
    rows = read_metrics(out)
    return bool(rows) and rows[-1]["step"] >= steps and rows[-1]["split"] == "validation"


def _ended_well(ended: Ended, victim: int) -> bool:
    """By itself and soon, with one line."""
    if ended.seconds > MINUTE or ended.code == 0:
        return False
    said = [line for line in ended.lines if line.startswith("error: ")]
    if len(said) != 1 or "Traceback" in ended.err:
        return False
    if ended.code == watch.EXIT:
        return f"process {victim} died" in said[0] or "JAX has lost another process" in said[0]
    return ended.code == 2 and (" met" in said[0] or " meet" in said[0])  # it was killed before they had met


def _start(folder: Path, processes: int, out: Path, steps: int, here: Path) -> list[subprocess.Popen]:
    flags = ("--data", str(folder / "store"), "--out", str(out), "--loop.steps", str(steps))
    flags += ("--loop.eval-every", "50", "--patience", "40")
    return start(processes, *TRAIN, *flags, folder=here)


def _train(folder: Path, processes: int, out: Path, steps: int) -> list[Ended]:
    here = folder / f"{out.name}-{processes}-{steps}"
    return wait(_start(folder, processes, out, steps, here), here, 10 * MINUTE)


def _succeed(ended: list[Ended]) -> None:
    assert all(e.code == 0 for e in ended), [(e.code, e.err[-2000:]) for e in ended]
