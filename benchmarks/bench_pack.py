"""Packing against Pillow, and against TFDS with its own decoder: JPEGs to squares of 64x64 on the same files.

    python -m benchmarks.bench_pack --path data/celeba

Ours is a whole pack: read, decode, crop, resize with anti-aliasing, write, labels, checksums. The peers decode, crop
and resize alone, with the same filter, into memory: Pillow from the files, TFDS from its ArrayRecord files of the same
images, in which it decodes all of an example's fields (JPEGs with OpenCV where that is installed, else Pillow). All
work on the same number of threads. Rates are by the wall clock, and by processor time: what one core does by itself.
"""

import contextlib
import functools
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks import table, timing
from benchmarks.faces import copy_celeba, prepare_tfds, write_celeba
from benchmarks.peers.pillow import by_pillow
from benchmarks.peers.tfds import DecodedByTFDS
from jvae.cli.run import run
from jvae.data.packed import pack
from jvae.data.source import Source
from jvae.data.sources.celeba import CelebAFolder
from jvae.data.sources.tfds import CelebATFDS

CHUNK = 64  # images a task, as in packing


@contextlib.contextmanager
def clocked(cores: list[float]) -> Iterator[list[float]]:
    """Yields a list that holds the block's seconds at its end; those of processor time go to `cores`."""
    seconds: list[float] = []
    start = time.perf_counter(), time.process_time()
    yield seconds
    seconds.append(time.perf_counter() - start[0])
    cores.append(time.process_time() - start[1])


def compare(
    case: str,
    ours: Source,
    peer: str,
    image: Callable[[int], np.ndarray],
    options: dict[str, Any],
    folder: Path,
    rounds: int,
) -> list[timing.Row]:
    """Times a pack of the source `ours` and the peer's `image` of each of its rows, in turn.

    Args:
      case: of the rows.
      ours: the images.
      peer: its name.
      image: row of `ours` -> uint8 [size,size,3].
      options: of `pack`: size, crop, workers.
      folder: for the store.
      rounds: timed calls.
    """
    count, size, workers = len(ours), options["size"], options["workers"]
    images = np.empty((count, size, size, 3), np.uint8)
    cores: dict[str, list[float]] = {"ours": [], "peer": []}
    errors: list[float] = []

    def fill(start: int) -> None:
        for i in range(start, min(start + CHUNK, count)):
            images[i] = image(i)

    def theirs() -> float:
        with clocked(cores["peer"]) as seconds, ThreadPoolExecutor(workers) as pool:
            list(pool.map(fill, range(0, count, CHUNK)))
        return seconds[0]

    def packing() -> float:
        with clocked(cores["ours"]) as seconds:
            store = pack(ours, folder / "store", progress=False, **options)
        errors.append(float(np.abs(store.images.astype(int) - images).mean()))
        shutil.rmtree(store.path)
        return seconds[0]

    times = timing.in_turn({"peer": theirs, "ours": packing}, rounds=rounds)
    print(f"{case}: jvae's images and those of {peer} differ by {np.mean(errors):.2f} of 255 on average")
    rates = {name: t.rates(count) for name, t in times.items()}
    by_core = {name: count / np.array(seconds[1:]) for name, seconds in cores.items()}  # without the warm-up
    medians = {name: (float(np.median(r)), float(r.min()), float(r.max())) for name, r in by_core.items()}
    case = f"{case}, {count} to {size}x{size} ({options['crop']})"
    return [
        timing.row(
            "pack",
            f"{case}, {what}",
            "images/s",
            found["ours"][0],
            peer_name=peer,
            peer=found["peer"][0],
            spread=found["ours"][1:],
            target="ratio >= 2",
            n=rounds,
        )
        for what, found in ((f"{workers} threads", rates), ("a core", medians))
    ]


def tfds_rows(path: Path, options: dict[str, Any], folder: Path, rounds: int) -> list[timing.Row]:
    """Times the images of the folder `path` in a TFDS data set; without TFDS it is a row that says so."""
    try:
        directory = prepare_tfds(path, folder / "tfds")
        peer = DecodedByTFDS(directory)
    except ImportError as error:
        print(f"TFDS is not measured: {error}")
        return [timing.row("pack", "TFDS", "images/s", None, peer_name="TFDS's decoder", target="ratio >= 2")]
    image = functools.partial(peer.image, size=options["size"], crop=options["crop"])
    return compare("TFDS", CelebATFDS(directory), f"TFDS's decoder ({peer.how})", image, options, folder, rounds)


def main(
    quick: bool = False,
    path: Path | None = None,
    count: int | None = None,
    rounds: int | None = None,
    size: int = 64,
    crop: Literal["center", "squash"] = "center",
    workers: int | None = None,
) -> None:
    """Times whole packs and the peers' decode, crop and resize in turn on the same files.

    Args:
      quick: fewer images and rounds.
      path: a CelebA folder, of which an even sample is copied; rendered faces without.
      count: images a round; 2000 unless told, 512 with --quick.
      rounds: of which the median counts; 7 unless told, 2 with --quick.
      size: height and width in pixels.
      crop: see `jvae pack`.
      workers: threads; one a core unless told.
    """
    count, rounds = count or (512 if quick else 2000), rounds or (2 if quick else 7)
    options = {"size": size, "crop": crop, "workers": workers or os.cpu_count() or 1}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if path is None:
            write_celeba(folder / "celeba", count)
        else:
            copy_celeba(path, folder / "celeba", count)
        files = CelebAFolder(folder / "celeba")

        def image(row: int) -> np.ndarray:
            return by_pillow(files.folder / files.image_ids[row], size, crop)

        rows = compare("JPEGs", files, "Pillow", image, options, folder, rounds)
        rows += tfds_rows(folder / "celeba", options, folder, rounds)
    timing.write(rows)
    print(table.text(rows))


if __name__ == "__main__":
    run(main)
