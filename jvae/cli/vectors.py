"""`jvae vectors`: all attribute vectors of a run by one pass, or one of them by the book's procedure."""

from pathlib import Path
from typing import Literal

from jvae.cli.annotated import Maybe
from jvae.cli.flags import Kinds, Trained
from jvae.data.decoded import DecodedStore, is_packed, open_data
from jvae.data.faces import check_store, crop_of, open_store
from jvae.errors import InputError
from jvae.latent.book import book_statistics
from jvae.latent.encoding import attribute_statistics
from jvae.latent.kinds import with_joint
from jvae.latent.vectors import AttributeVectors, Origin
from jvae.runtime.processes import is_main, together


@together
def main(
    trained: Trained,
    split: str = "train",
    stop: Literal["none", "book"] = "none",
    label: Maybe[str] = None,
    latent: Literal["mean", "sample"] = "mean",
    mirror: Maybe[Literal["yes", "no"]] = None,
    batch_size: Maybe[int] = None,
    seed: int = 0,
    crop: Maybe[Literal["center", "squash"]] = None,
    workers: int = 0,
    kinds: Kinds = Kinds(),
    out: Maybe[Path] = None,
) -> None:
    """Estimates the attribute vectors of a run.

    The file serves every kind of vector. --kind, --balance and --keep name the kind that commands take from it unless
    they are told another.

    Args:
      split: split to encode: train, validation or test.
      stop: when to stop: after all images, with all attributes (none), or early, for one attribute, as the book does.
      label: attribute to estimate, with --stop book.
      latent: what to average: the mean of each posterior, or a sample from it, as in the book.
      mirror: whether each image counts by half as it is and by half mirrored, left for right: yes or no (default: as
        the run was trained; with --stop book, no).
      batch_size: number of images encoded at a time (default: 512, with --stop book 500).
      seed: seed of the samples, and of the order of --stop book.
      crop: crop of a data set that is not packed (default: the run's; of runs of an older version, which do not say it,
        squash for the preset book and center for others).
      workers: number of processes that decode such a data set; 0 decodes with threads, which serve two cores best.
      out: file to write (default: vectors.npz in the run).
    """
    if (stop == "book") != (label is not None):
        raise InputError("--stop book and --label go together: the book's procedure is for one attribute")
    if stop == "book" and mirror == "yes":
        raise InputError("--stop book is the book's procedure, which mirrors no images: leave out --mirror yes")
    wanted = kinds.find()
    if label is not None and wanted is not None:
        raise InputError("--stop book finds differences of one attribute: leave out --kind, --balance and --keep")
    run, data, model = trained.run, trained.data, trained.load()
    if is_packed(data):
        store = open_store(data, model.image_size, model.data)
    else:
        store = open_data(data, model.config, crop_of(model.config, model.data, crop=crop), workers)
        check_store(store, model.data)
    if isinstance(store, DecodedStore) and (label is not None or len(kinds.balance) > 1):
        raise InputError(f"{data} is not packed, as --stop book and --balance of several attributes need it to be")
    for name in (*kinds.balance, *kinds.keep):
        store.attribute(name)
    rows = store.indices(split)
    trained_so = getattr(model.config.objective, "mirror", False)
    both = label is None and (trained_so if mirror is None else mirror == "yes")
    origin = Origin(latent, split, stop, run.name, model.step, model.digest, data.name, mirror=both)
    how = {"batch_size": batch_size or (500 if label else 512), "latent": latent, "seed": seed}
    with store.verified(rows):
        if label is not None:
            has = store.attrs[:, store.attribute(label)]
            estimate = book_statistics(model, store.images, has, rows, label=label, report=print, **how)
            end = "the means stand still" if estimate.settled else f"{estimate.rows[-1].n:,} images with it"
            print(f"found the {label} vector: {end}")
            vectors = AttributeVectors.from_statistics(estimate.stats, (label,), origin)
        else:
            columns, labels = with_joint(store.attribute_names, store.attrs, kinds.balance)
            halves = attribute_statistics(model, store.images, labels, rows, mirror=both, progress=True, **how)
            vectors = AttributeVectors.from_statistics(halves, columns, origin, wanted)
    out = out or run / (f"vectors_book_{label.replace('/', '-')}.npz" if label else "vectors.npz")
    if is_main():
        vectors.save(out)
    print(vectors.table().rename_axis(None).to_string(float_format="{:.3f}".format))
    for name, note in vectors.notes.items():
        print(f"{name}: {note}")
    for name, reason in vectors.missing.items():
        print(f"no vector for {name}: {reason}")
    of = f"{vectors.totals.n:,} images" + (" and their mirror images" if both else "")
    print(f"{len(vectors)} vectors ({vectors.kind}) of {of} in {out}")
