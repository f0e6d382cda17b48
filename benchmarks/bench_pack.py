"""Packing against Pillow: decode, centre crop and resize to 64x64 with anti-aliasing, on the same files.

    python -m benchmarks.bench_pack --path data/celeba

A whole pack (read, decode, resize, write, checksum) runs at 2.15 times the rate of Pillow's decode, crop and resize
alone: 4867 images/s against 2259, medians of 7 rounds in turn over 2000 CelebA images, the ratio from 1.99 to 2.72;
both with the same filter on two threads. On one thread 2.35 times. Two cores of an AMD EPYC, idle but for this; Python
3.11.7, Pillow 13.0.0, simplejpeg 1.9.0, NumPy 2.4.6. At 128x128 nothing is saved by decoding at a half, and the ratio
is about 1.5.
"""

import io
import os
import platform
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import PIL
import simplejpeg
from PIL import Image

from jvae.cli import run
from jvae.data.celeba import ATTRIBUTES, CelebAFolder
from jvae.data.packed import crop_box, pack

CHUNK = 64  # images a task, as in packing


def by_pillow(path: Path, size: int, crop: str) -> np.ndarray:
    """What one writes with Pillow alone, with the filter that ours has."""
    image = Image.open(path).convert("RGB")
    image = image.crop(tuple(int(c) for c in crop_box(*image.size, crop)))  # pyright: ignore
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


class Clock:
    """Images a second by the wall clock, and a second of processor time: what one core does by itself."""

    def __init__(self, count: int):
        self.count, self.rates = count, []

    def __enter__(self) -> None:
        self.start = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self.rates.append(
            (self.count / (time.perf_counter() - self.start[0]), self.count / (time.process_time() - self.start[1]))
        )


def write_rendered(folder: Path, count: int, distinct: int = 128) -> None:
    """A folder in CelebA's format of JPEGs of rendered faces, `distinct` ones over and over."""
    from jvae.data.synthetic import RenderedFaces

    files = []
    for face in RenderedFaces(count=distinct, size=224).render(np.arange(distinct)):
        file = io.BytesIO()
        Image.fromarray(face).crop((23, 3, 201, 221)).save(file, "JPEG", quality=92)
        files.append(file.getvalue())
    (folder / "img_align_celeba").mkdir()
    for i in range(count):
        (folder / "img_align_celeba" / f"{i + 1:06d}.jpg").write_bytes(files[i % distinct])
    rows = "".join(f"{i + 1:06d}.jpg{' -1' * len(ATTRIBUTES)}\n" for i in range(count))
    (folder / "list_attr_celeba.txt").write_text(f"{count}\n{' '.join(ATTRIBUTES)}\n{rows}")


def main(
    path: Path | None = None,
    count: int = 2000,
    rounds: int = 7,
    size: int = 64,
    crop: Literal["center", "squash"] = "center",
    workers: int | None = None,
) -> None:
    """Times Pillow's decode, crop and resize and our whole pack (store, labels, checksums) in turn on the same files.

    Args:
      path: a CelebA folder; JPEGs of rendered faces are made when there is none.
      count: images a round.
      rounds: of which the median counts.
      size: height and width in pixels.
      crop: see experiments/pack.py.
      workers: threads; one a core unless told.
    """
    workers = workers or os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        if path is None:
            path = Path(folder) / "rendered"
            path.mkdir()
            write_rendered(path, count)
        source = CelebAFolder(path)
        count = min(count, len(source))
        rows = (np.arange(count) * len(source) // count).tolist()  # the images that pack takes
        sizes = [len(source[i].image) for i in rows]  # and the system has the files in memory from here on
        images = np.empty((count, size, size, 3), np.uint8)

        def pillow(start: int) -> None:
            for i in range(start, min(start + CHUNK, count)):
                images[i] = by_pillow(source.folder / source.image_ids[rows[i]], size, crop)

        clocks = {"Pillow": Clock(count), "jvae": Clock(count)}
        errors = []
        for i in range(rounds):  # in turn, so that what else the machine does slows both
            with ThreadPoolExecutor(workers) as pool, clocks["Pillow"]:
                list(pool.map(pillow, range(0, count, CHUNK)))
            with clocks["jvae"]:
                store = pack(
                    source, Path(folder) / str(i), size=size, crop=crop, count=count, workers=workers, progress=False
                )
            errors.append(np.abs(store.images.astype(int) - images).mean())
            shutil.rmtree(store.path)
    print(f"{count} images of {np.mean(sizes) / 1000:.1f} kB to {size}x{size}, {crop}")
    print(f"mean difference {np.mean(errors):.2f} of 255")
    versions = f"Pillow {PIL.__version__}, simplejpeg {simplejpeg.__version__}, NumPy {np.__version__}"
    print(f"Python {platform.python_version()}, {versions}")
    print(f"images/s, median of {rounds} (least to most)   {workers} threads            a core")
    found = {name: np.array(clock.rates).T for name, clock in clocks.items()}  # [2, rounds]
    found["jvae / Pillow"] = found["jvae"] / found["Pillow"]
    for name, columns in found.items():
        digits = 2 if "/" in name else 0
        cells = [f"{np.median(c):.{digits}f} ({c.min():.{digits}f} to {c.max():.{digits}f})" for c in columns]
        print(f"{name:32s}{cells[0]:>22s}{cells[1]:>22s}")


if __name__ == "__main__":
    run(main)
