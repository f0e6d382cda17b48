"""Feeding the compiled train step: images on the device, streamed from the store, or streamed from TFDS.

    python -m benchmarks.bench_feed

The preset celeba64 trains through `Feed` and `train_chunk`, as in `jvae.train`. Resident is the peer: it waits for
nothing. From TFDS every JPEG is read, decoded, cropped and resized on all cores, from a data set that
`jvae prepare-tfds` makes: once, as the preset has it, timed from the second epoch on; or anew each time, as where not
all images fit in memory. On a CPU the decoding takes its time from the very cores that train. A device waits
from the end of a chunk's last step to the arrival of the next chunk.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from benchmarks import table, timing
from benchmarks.faces import images as some_images
from benchmarks.faces import prepare_tfds, write_celeba
from benchmarks.training import Trainer
from jvae.cli.run import run
from jvae.config import Config
from jvae.data.decoded import DecodedStore
from jvae.training.presets import preset

Residency = Literal["auto", "resident", "streamed"]
DECODED_ONCE, DECODED_ANEW = "TFDS, decoded once", "TFDS, decoded anew"


def waited(ready: list[float], done: list[float]) -> float:
    """Seconds between the end of each chunk and the arrival of the next, of chunks `ready` and `done` at some times."""
    return sum(max(0.0, later - end) for later, end in zip(ready[1:], done, strict=False))


class Training:
    """Trains on the chunks of one feed; `waited` has the seconds that each call's device waited."""

    def __init__(self, cfg: Config, images: Any, residency: Residency, chunks: int) -> None:
        self.trainer, self._chunks = Trainer(cfg.replace(residency=residency), images), chunks
        self.waited: list[float] = []

    def __call__(self) -> None:
        """Trains on the next chunks, each dispatched as soon as it is there."""
        done: list[float] = []
        ready: list[float] = []

        def watch(loss: jax.Array) -> None:
            loss.block_until_ready()
            done.append(time.perf_counter())

        with ThreadPoolExecutor(1) as watcher:
            for _ in range(self._chunks):
                chunk = self.trainer.next_chunk()
                chunk.images.block_until_ready()
                ready.append(time.perf_counter())
                watcher.submit(watch, self.trainer.dispatch(chunk)["loss"])
        self.waited.append(waited(ready, done))

    def close(self) -> None:
        """Ends the feed's thread."""
        self.trainer.close()


def main(quick: bool = False, path: Path | None = None, rounds: int | None = None, chunks: int | None = None) -> None:
    """Times training from a resident store, a streamed one, and a TFDS data set decoded on the way.

    Args:
      quick: fewer steps and rounds.
      path: a packed store of 64x64; rendered faces without.
      rounds: of which the median counts; 5 unless told, 1 with --quick.
      chunks: a round's calls of the compiled loop; 2 on a CPU and 20 on an accelerator unless told.
    """
    cfg = preset("celeba64").replace(chunk_steps=2 if quick else 50)
    rounds = rounds or (1 if quick else 5)
    a_round = chunks or (2 if quick else int(timing.by_platform(2, 20)))
    count = cfg.loop.batch_size * (8 if quick else 100)
    trainings: dict[str, Training] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        np.save(folder / "images.npy", some_images(path, count))
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        write_celeba(folder / "celeba", count)

        def start(name: str, images: Any, residency: Residency) -> None:
            trainings[name] = Training(cfg, images, residency, a_round)
            stack.callback(trainings[name].close)

        start("resident", images, "resident")
        start("store", images, "streamed")
        try:
            faces = DecodedStore(prepare_tfds(folder / "celeba", folder / "tfds"), size=cfg.model.image_size)
            start(DECODED_ONCE, faces.images, "auto")
            for _ in range(count // cfg.loop.batch_size // cfg.loop.chunk_steps):
                trainings[DECODED_ONCE].trainer()
            start(DECODED_ANEW, faces.images, "streamed")
        except ImportError as error:
            print(f"TFDS is not measured: {error}")
        runs: dict[str, Callable[[], None]] = dict(trainings)
        times = timing.in_turn(runs, rounds=rounds)
    done = a_round * cfg.loop.chunk_steps * cfg.loop.batch_size
    rows = []
    for name in ("store", DECODED_ONCE, DECODED_ANEW):
        rates = times[name].rates(done) if name in times else None
        rows.append(
            timing.row(
                "feed",
                f"celeba64, streamed from {name}",
                "images/s",
                rates[0] if rates else None,
                peer_name="resident",
                peer=times["resident"].rates(done)[0],
                spread=rates[1:] if rates else None,
                compile_s=trainings[name].trainer.compile_s if rates else None,
                target="ratio >= 0.95",
                n=rounds,
            )
        )
    for name, training in trainings.items():
        shares = np.divide(training.waited[1:], times[name].times)
        rows.append(
            timing.row(
                "feed",
                f"celeba64, {name}: share of time the device waits",
                "",
                float(np.median(shares)),
                spread=(float(shares.min()), float(shares.max())),
                target="ours <= 0.05",
                n=rounds,
            )
        )
    timing.write(rows)
    print(table.text(rows))


if __name__ == "__main__":
    run(main)
