"""Estimates the attribute vectors of a run: one pass over a split of a store.

    python experiments/attribute_vectors.py --run runs/y --data data/x

writes runs/y/vectors.npz and shows a table. With `--stop book --label Eyeglasses` it repeats the book's procedure for
one attribute, batch by batch, and writes runs/y/vectors_book_Eyeglasses.npz.
"""

from pathlib import Path
from typing import Literal

import jvae
from jvae import cli
from jvae.data.decoded import DecodedStore, is_packed, open_data
from jvae.data.faces import open_store
from jvae.errors import InputError
from jvae.latent.book import book_statistics
from jvae.latent.encoding import attribute_statistics
from jvae.latent.kinds import Name, find_kind, with_joint
from jvae.latent.vectors import AttributeVectors, Origin
from jvae.runtime.processes import is_main, share, together


@together
def main(
    run: Path,
    data: Path,
    split: str = "train",
    stop: Literal["none", "book"] = "none",
    label: str | None = None,
    kind: Name | None = None,
    balance: tuple[str, ...] = (),
    keep: tuple[str, ...] = (),
    latent: Literal["mean", "sample"] = "mean",
    batch_size: int | None = None,
    seed: int = 0,
    crop: Literal["center", "squash"] | None = None,
    workers: int = 0,
    out: Path | None = None,
) -> None:
    """Estimates the attribute vectors of a run.

    Args:
      run: directory of the trained run.
      data: packed store; or the data_dir of a prepared celeb_a, whose images are decoded on the way.
      split: train, validation or test.
      stop: none takes all images and all attributes; book stops early, for one attribute, as the book does.
      label: the attribute of --stop book.
      kind: of the vectors shown, and taken by scripts that are told no other: difference (the book's), balanced,
        regression, lda, conditional. The file holds what all of them need.
      balance: attributes by whose groups a balanced vector averages; what several make together is counted on the way.
      keep: attributes along whose vectors nothing shall change, whatever the kind.
      latent: mean of the posterior, or a sample from it as in the book.
      batch_size: images encoded at a time; by default 512, with --stop book 500.
      seed: of samples, and of the order of --stop book.
      crop: of a data set that is not packed (default: squash for the preset book, center for others).
      workers: processes that decode it; 0 is threads of this one.
      out: where to write (default: vectors.npz in the run).
    """
    if (stop == "book") != (label is not None):
        raise InputError("--stop book and --label go together: the book's procedure is for one attribute")
    wanted = find_kind(kind, balance, keep)
    if label is not None and wanted is not None:
        raise InputError("--stop book finds differences of one attribute: leave out --kind, --balance and --keep")
    model = jvae.load(run)
    store = open_store(data, model.image_size) if is_packed(data) else open_data(data, model.config, crop, workers)
    if isinstance(store, DecodedStore) and (label is not None or len(balance) > 1):
        raise InputError(f"{data} is not packed, as --stop book and --balance of several attributes need it to be")
    for name in (*balance, *keep):
        store.attribute(name)
    rows = store.indices(split)
    origin = Origin(latent=latent, split=split, stop=stop, run=run.name, step=model.step, store=data.name)
    if label is not None:
        column = store.attribute(label)
        with store.verified(share(rows)):
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
        columns, labels = with_joint(store.attribute_names, store.attrs, balance)
        with store.verified(share(rows)):
            halves = attribute_statistics(
                model,
                store.images,
                labels,
                rows,
                batch_size=batch_size or 512,
                latent=latent,
                seed=seed,
                progress=True,
            )
        vectors = AttributeVectors.from_statistics(halves, columns, origin, wanted)
        out = out or run / "vectors.npz"
    if is_main():
        vectors.save(out)
    print(vectors.table().rename_axis(None).to_string(float_format="{:.3f}".format))
    for name, note in vectors.notes.items():
        print(f"{name}: {note}")
    for name, reason in vectors.missing.items():
        print(f"no vector for {name}: {reason}")
    print(f"{len(vectors)} vectors ({vectors.kind}) of {vectors.totals.n:,} images in {out}")


if __name__ == "__main__":
    cli.run(main)
