"""Estimates the attribute vectors of a run: one pass over a split of a store.

    python experiments/attribute_vectors.py --run runs/y --data data/x

writes runs/y/vectors.npz and shows a table. With `--stop book --label Eyeglasses` it repeats the book's procedure for
one attribute, batch by batch, and writes runs/y/vectors_book_Eyeglasses.npz.
"""

from pathlib import Path
from typing import Literal

import jvae
from jvae import cli
from jvae.data.faces import open_store
from jvae.errors import InputError
from jvae.latent.book import book_statistics
from jvae.latent.statistics import attribute_statistics
from jvae.latent.vectors import AttributeVectors, Origin


def main(
    run: Path,
    data: Path,
    split: str = "train",
    stop: Literal["none", "book"] = "none",
    label: str | None = None,
    latent: Literal["mean", "sample"] = "mean",
    batch_size: int | None = None,
    seed: int = 0,
    out: Path | None = None,
) -> None:
    """Estimates the attribute vectors of a run.

    Args:
      run: directory of the trained run.
      data: packed store.
      split: train, validation or test.
      stop: none takes all images and all attributes; book stops early, for one attribute, as the book does.
      label: the attribute of --stop book.
      latent: mean of the posterior, or a sample from it as in the book.
      batch_size: images encoded at a time; by default 512, with --stop book 500.
      seed: of samples, and of the order of --stop book.
      out: where to write (default: vectors.npz in the run).
    """
    if (stop == "book") != (label is not None):
        raise InputError("--stop book and --label go together: the book's procedure is for one attribute")
    model = jvae.load(run)
    store = open_store(data, model.image_size)
    rows = store.indices(split)
    origin = Origin(latent=latent, split=split, stop=stop, run=run.name, step=model.step, store=data.name)
    if label is not None:
        column = store.attribute(label)
        outcome = book_statistics(
            model,
            store.images,
            store.attrs[:, column],
            rows,
            label=label,
            batch_size=batch_size or 500,
            latent=latent,
            seed=seed,
            report=print,
        )
        end = "the means stand still" if outcome.settled else f"{outcome.rows[-1].n:,} images with it"
        print(f"found the {label} vector: {end}")
        vectors = AttributeVectors.from_statistics(outcome.stats, (label,), origin)
        out = out or run / f"vectors_book_{label}.npz"
    else:
        stats = attribute_statistics(
            model,
            store.images,
            store.attrs,
            rows,
            batch_size=batch_size or 512,
            latent=latent,
            seed=seed,
            progress=True,
        )
        vectors = AttributeVectors.from_statistics(stats, store.attribute_names, origin)
        out = out or run / "vectors.npz"
    vectors.save(out)
    print(vectors.table().rename_axis(None).to_string(float_format="{:.3f}".format))
    for name, reason in vectors.missing.items():
        print(f"no vector for {name}: {reason}")
    print(f"{len(vectors)} vectors of {vectors.totals.n:,} images in {out}")


if __name__ == "__main__":
    cli.run(main)
