"""`jvae vectors`: all attribute vectors of a run by one pass, or one of them by the book's procedure."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from jvae.cli.annotated import Many, Maybe
from jvae.cli.flags import Kinds, Trained
from jvae.data.decoded import DecodedStore, is_packed, open_data
from jvae.data.faces import check_store, crop_of, open_store
from jvae.data.source import spread
from jvae.errors import InputError
from jvae.judge.judge import Judge
from jvae.latent.book import book_statistics
from jvae.latent.encoding import attribute_statistics
from jvae.latent.kinds import Kind, with_joint
from jvae.latent.vectors import AttributeVectors, Learned, Origin
from jvae.runtime.processes import is_main, together
from jvae.trained import TrainedModel
from jvae.training.learned import STEPS, learn_vectors

MOST = 20_000  # images that vectors are learned from, about as many as STEPS draw; 250 MB at 64x64


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
    judges: Many[Path] = (),
    steps: int = STEPS,
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
      judges: files or run directories of the judges that vectors of --kind learned are trained by, of different seeds;
        score them by another one.
      steps: number of training steps of --kind learned.
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
    learns = wanted is not None and wanted.name == "learned"
    if learns != bool(judges):
        raise InputError("--kind learned and --judges go together: the vectors are trained by the judges")
    if steps < 1:
        raise InputError(f"steps={steps}: must be at least 1")
    run, data, model = trained.run, trained.data, trained.load()
    if is_packed(data):
        store = open_store(data, model.image_size, model.data)
    else:
        store = open_data(data, model.config, crop_of(model.config, model.data, crop=crop), workers)
        check_store(store, model.data)
    if isinstance(store, DecodedStore) and (label is not None or len(kinds.balance) > 1 or learns):
        raise InputError(
            f"{data} is not packed, as --stop book, --balance of several attributes and --kind learned need it to be"
        )
    for name in (*kinds.balance, *kinds.keep):
        store.attribute(name)
    teachers = [Judge.load(judge, mesh=model.mesh) for judge in judges]
    for judge in teachers:
        judge.warn_unless_cut_alike(store)
    out = out or run / (f"vectors_book_{label.replace('/', '-')}.npz" if label else "vectors.npz")
    rows = store.indices(split)
    trained_so = getattr(model.config.objective, "mirror", False)
    both = label is None and (trained_so if mirror is None else mirror == "yes")
    size = (500 if label else 512) if batch_size is None else batch_size
    origin = Origin(latent, split, stop, run.name, model.step, model.digest, data.name, mirror=both)
    how = {"batch_size": size, "latent": latent, "seed": seed}
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
            vectors = AttributeVectors.from_statistics(halves, columns, origin, None if learns else wanted)
            if learns and wanted:
                found = _learn(model, vectors, teachers, store, rows, steps, seed)
                vectors = vectors.with_learned(found).of_kind(wanted)
            else:
                vectors = vectors.with_learned(_learned_before(out, vectors))
    if is_main():
        vectors.save(out)
    print(vectors.table().rename_axis(None).to_string(float_format="{:.3f}".format))
    for name, note in vectors.notes.items():
        print(f"{name}: {note}")
    for name, reason in vectors.missing.items():
        print(f"no vector for {name}: {reason}")
    of = f"{vectors.totals.n:,} images" + (" and their mirror images" if both else "")
    print(f"{len(vectors)} vectors ({vectors.kind}) of {of} in {out}")


def _learn(
    model: TrainedModel, known: AttributeVectors, judges: list[Judge], store: Any, rows: np.ndarray, *how: int
) -> Learned:
    """Vectors learned from the `rows` of a packed store, at most MOST of them; `how` is steps and seed."""
    steps, seed = how
    some = spread(rows, MOST)
    z, photographs = model.encode(store.images, rows=some), store.read(some)
    with tqdm(total=steps, desc="learning vectors", unit="step", disable=not is_main()) as bar:

        def report(step: int, means: dict[str, float]) -> None:
            bar.set_postfix({name: f"{means[name]:.3f}" for name in ("missed", "turned")}, refresh=False)
            bar.update(step - bar.n)

        of = {"photographs": photographs, "steps": steps, "seed": seed}
        return learn_vectors(model, known, judges, z, store.attrs[some], report=report, **of)


def _learned_before(path: Path, vectors: AttributeVectors) -> Learned | None:
    """The learned vectors in a file that is to be written anew, where they are of the same weights and attributes."""
    if not path.is_file():
        return None
    try:
        old = AttributeVectors.load(path, Kind())
    except InputError:  # it is no loss
        return None
    same = old.origin.digest == vectors.origin.digest and old.attribute_names == vectors.attribute_names
    return old.learned if same else None
