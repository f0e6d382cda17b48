"""Packing against Pillow: decode, centre crop and resize to 64x64 with anti-aliasing, on the same files.

    python -m benchmarks.bench_pack --path data/celeba

@CLAIM@
"""

import io
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import PIL
import simplejpeg
from PIL import Image

from jvae.cli import run
from jvae.data.celeba import ATTRIBUTES, CelebAFolder, Source
from jvae.data.packed import crop_box, pack, preprocess

CHUNK = 64  # images a task, as in packing


def by_pillow(data: bytes, size: int, crop: str) -> np.ndarray:
    """What one writes with Pillow alone, with the filter that ours has."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    image = image.crop(tuple(int(c) for c in crop_box(*image.size, crop)))  # pyright: ignore
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


def rate(decode: Callable[..., np.ndarray], source: Source, size: int, crop: str, workers: int) -> tuple[float, float]:
    """Images a second from files to pixels, and images a second of processor time: what one core does by itself."""

    def task(start: int) -> None:
        for i in range(start, min(start + CHUNK, len(source))):
            decode(source[i].image, size, crop)

    with ThreadPoolExecutor(workers) as pool:
        start, start_cpu = time.perf_counter(), time.process_time()
        list(pool.map(task, range(0, len(source), CHUNK)))
        return len(source) / (time.perf_counter() - start), len(source) / (time.process_time() - start_cpu)


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


class Sample:
    """Images of a source, evenly spaced."""

    def __init__(self, source: Source, count: int):
        self.source, self.count = source, min(count, len(source))
        self.name, self.attribute_names = source.name, source.attribute_names

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int, /) -> Any:
        return self.source[i * len(self.source) // self.count]


def main(
    path: Path | None = None,
    count: int = 2000,
    rounds: int = 7,
    size: int = 64,
    crop: Literal["center", "squash"] = "center",
    workers: int | None = None,
) -> None:
    """Times Pillow and ours in turn on the same files, and a whole pack with its labels and checksums.

    Args:
      path: a CelebA folder; JPEGs of rendered faces are made when there is none.
      count: images a round.
      rounds: of which the median counts.
      size: height and width in pixels.
      crop: see experiments/pack.py.
      workers: threads; one a core unless told.
    """
    workers = workers or len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        if path is None:
            path = Path(folder) / "rendered"
            path.mkdir()
            write_rendered(path, count)
        source = Sample(CelebAFolder(path), count)
        images: list[Any] = [source[i].image for i in range(len(source))]  # and the files are in memory from here on
        print(
            f"{len(source)} images of {np.mean([len(i) for i in images]) / 1000:.1f} kB to {size}x{size}, {crop}; ",
            end="",
        )
        print(f"Pillow {PIL.__version__}, simplejpeg {simplejpeg.__version__}, Python {platform.python_version()}")
        error = np.mean(
            [np.abs(preprocess(i, size, crop).astype(int) - by_pillow(i, size, crop)).mean() for i in images[:200]]
        )
        print(f"mean difference {error:.2f} of 255")

        rates: dict[str, list[tuple[float, float]]] = {"Pillow": [], "jvae": [], "jvae, whole pack": []}
        for _ in range(rounds):  # in turn, so that what else the machine does slows both
            rates["Pillow"].append(rate(by_pillow, source, size, crop, workers))
            rates["jvae"].append(rate(preprocess, source, size, crop, workers))
            start, start_cpu = time.perf_counter(), time.process_time()
            pack(source, Path(folder) / "out", size=size, crop=crop, workers=workers, progress=False)
            seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
            rates["jvae, whole pack"].append((len(source) / seconds, len(source) / cpu))
            shutil.rmtree(Path(folder) / "out")
    print(f"images/s, median ({rounds} rounds)   {workers} threads                  a core")
    for name, found in rates.items():
        columns = np.array(found).T  # [2, rounds]
        print(f"{name:30s}" + "".join(f"{np.median(c):7.0f} ({c.min():.0f} to {c.max():.0f})" for c in columns))
    ratios = (np.array(rates["jvae"]) / np.array(rates["Pillow"])).T
    print(f"{'jvae / Pillow':30s}" + "".join(f"{np.median(c):7.2f} ({c.min():.2f} to {c.max():.2f})" for c in ratios))


if __name__ == "__main__":
    run(main)
