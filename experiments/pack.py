"""Packs faces into a store: python -m experiments.pack --source folder --path data/celeba --out data/celeba64"""

import time
from pathlib import Path
from typing import Literal

from jvae.cli import run
from jvae.data.packed import pack
from jvae.data.sources.celeba import CelebAFolder
from jvae.errors import InputError


def main(
    source: Literal["rendered", "folder", "tfds"],
    out: Path,
    path: Path | None = None,
    count: int | None = None,
    size: int = 64,
    crop: Literal["center", "squash", "rendered"] = "center",
    skip_bad: bool = False,
    seed: int = 0,
    workers: int | None = None,
    overwrite: bool = False,
) -> None:
    """Decodes every image once into one uint8 array, with its labels, in a directory that appears when it is complete.

    Args:
      source: rendered faces, a CelebA folder (or zip), or CelebA prepared by TensorFlow Datasets.
      out: the directory to make.
      path: the CelebA folder, or the TFDS data_dir.
      count: pack so many, evenly spaced over the source; rendered faces have 20000 unless told.
      size: height and width in pixels, a multiple of 16.
      crop: the 148x148 in the centre of CelebA's 178x218, or the whole image squashed, or what frames a face as
        rendered faces are framed.
      skip_bad: leave out images that cannot be read instead of stopping.
      seed: of the rendered faces.
      workers: decoding threads; one a core unless told.
      overwrite: replace the store that is there.
    """
    if source == "rendered":
        from jvae.data.sources.rendered import RenderedFaces  # here, because it imports JAX

        faces = RenderedFaces(count=20000 if count is None else count, seed=seed, size=size)
        count = None
    elif path is None:
        raise InputError(f"--source {source} needs --path")
    elif source == "folder":
        faces = CelebAFolder(path)
        if faces.message:
            print(faces.message)
    else:
        from jvae.data.sources.tfds import CelebATFDS

        faces = CelebATFDS(path)

    start = time.perf_counter()
    store = pack(faces, out, size=size, crop=crop, count=count, skip_bad=skip_bad, overwrite=overwrite, workers=workers)
    seconds = time.perf_counter() - start
    splits = ", ".join(f"{n} {split}" for split, n in store.meta.counts.items())
    skipped = f"; {len(store.meta.skipped)} could not be read" if store.meta.skipped else ""
    print(f"{out}: {len(store)} images ({splits}){skipped}, {size}x{size}, {len(store) / seconds:.0f} images/s")


if __name__ == "__main__":
    run(main)
