"""Faster to the same picture: `celeba64` against the book's recipe, at one objective, by the clock.

    python -m benchmarks.bench_recipe --path data/celeba64

Trains four times on the training split of a store of 64x64 images, 20 epochs of the book's recipe each (batch 32, Adam
at 5e-4, dropout .25): `book` here, PyTorch, PyTorch without dropout; and `celeba64` as the preset has it. Between
stretches of training the clock stands still and the test split is scored by one objective, the book's: 10000 · squared
error of a sampled reconstruction + KL, in nats per image. Compilation is not counted.

Latents must stay as useful: each attribute's vector is estimated on the training split, the test split's means are
projected on it, and the area under the ROC curve says how well the projection tells who has the attribute. And the
vectors are applied to test faces (edits.py): the share of other attributes that turn over, where 80 % of edits land.

Writes results/recipe-<platform>.jsonl, results/recipe-<platform>.csv (the curves), and docs/recipe-<platform>.png.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd

from benchmarks import table, timing
from benchmarks.edits import Edits, edit, fit_judge
from benchmarks.peers.child import pytorch
from benchmarks.training import Trainer
from jvae import cli
from jvae.config import Config, preset
from jvae.data.packed import PackedStore
from jvae.errors import InputError
from jvae.evaluate.ranking import roc_auc
from jvae.evaluate.reconstruction import BOOK_FACTOR, evaluate
from jvae.files import replacing
from jvae.frozen import Model
from jvae.latent.statistics import attribute_statistics
from jvae.latent.vectors import AttributeVectors
from jvae.mesh import make_mesh
from jvae.models import vae
from jvae.training.state import make_model

EPOCHS = (6, 20)  # of the book's recipe, whose objectives are to be reached
HITS = 0.8  # share of edits that are to land where their side effects are compared
BOOK, OURS, TORCH, TORCH_DRY = "jvae book", "jvae celeba64", "PyTorch book", "PyTorch book, no dropout"


class Point(NamedTuple):
    """A model on its way.

    Attributes:
      epoch: passes over the training split so far.
      seconds: of training, compilation and scoring excluded.
      error: squared error of sampled reconstructions on the test split, mean over pixels, values in [0, 1].
      kl: nats per image, likewise.
    """

    epoch: float
    seconds: float
    error: float
    kl: float

    @property
    def objective(self) -> float:
        """The book's."""
        return BOOK_FACTOR * self.error + self.kl


def moments(total: int, per_epoch: int, count: int) -> list[int]:
    """The steps at which a run of `total` is scored: `count` of them evenly, and the ends of the epochs in EPOCHS."""
    even = {round(total * (i + 1) / count) for i in range(count)}
    return sorted((even | {e * per_epoch for e in EPOCHS if e * per_epoch <= total}) - {0})


def our_curve(cfg: Config, store: PackedStore, count: int) -> Iterator[tuple[Point, Model]]:
    """Trains by the train loop's own program and yields the model each time that it is scored."""
    rows, test, mesh = store.indices("train"), store.indices("test"), make_mesh()
    total, per_epoch = cfg.total_steps(len(rows)), len(rows) // cfg.batch_size
    trainer = Trainer(cfg, store.images, rows, total_steps=total)
    module = make_model(cfg, mesh)
    encode, decode = vae.Encode(module), vae.Decode(module)
    step, seconds = 0, 0.0
    for stop in moments(total, per_epoch, count):
        start = time.perf_counter()
        for chunk in trainer.feed.chunks(step):
            steps = min(cfg.chunk_steps, stop - step)
            trainer.dispatch(chunk, steps)
            step += steps
            if step == stop:
                break
        jax.block_until_ready(trainer.state)
        seconds += time.perf_counter() - start
        variables = trainer.state.variables
        scores = evaluate(encode, decode, variables, cfg, store.images, test, mesh=mesh)
        point = Point(step / per_epoch, seconds, scores.sampled_error, scores.kl)
        yield point, Model(cfg, jax.device_get(variables), step=step)


def pytorch_curve(cfg: Config, store: PackedStore, count: int) -> Iterator[Point]:
    """The same by PyTorch; nothing where it is not installed."""
    train, test = (np.asarray(store.images[store.indices(split)]) for split in ("train", "test"))
    per_epoch = len(train) // cfg.batch_size
    stops = moments(cfg.total_steps(len(train)), per_epoch, count)
    with pytorch("curve", cfg, "float32", train, quick=False, test=test, steps=10, stops=stops) as child:
        seconds = 0.0
        if child is None:
            return
        for stop in stops:
            took, error, kl = child.answer()
            seconds += took
            yield Point(stop / per_epoch, seconds, error, kl)


def attribute_vectors(model: Model, store: PackedStore) -> AttributeVectors:
    """Of the training split."""
    stats = attribute_statistics(model, store.images, store.attrs, store.indices("train"), batch_size=512)
    return AttributeVectors.from_statistics(stats, store.attribute_names)


def attribute_aucs(model: Model, vectors: AttributeVectors, store: PackedStore) -> dict[str, float]:
    """Area under the ROC curve of the projection of the test split's means on each vector."""
    rows = store.indices("test")
    attrs = np.asarray(store.attrs[rows])
    z = np.concatenate([model.encode(store.images[rows[i : i + 500]]) for i in range(0, len(rows), 500)])
    there = {name: attrs[:, store.attribute_names.index(name)] for name in vectors}
    return {name: roc_auc(z @ vectors[name].unit, has) for name, has in there.items() if has.any() and not has.all()}


def seconds_to(curve: list[Point], objective: float) -> float | None:
    """When a curve first comes down to an objective, between points by a line; None where it never does."""
    before = None
    for point in curve:
        if point.objective <= objective:
            if before is None:
                return point.seconds
            share = (before.objective - objective) / (before.objective - point.objective)
            return before.seconds + share * (point.seconds - before.seconds)
        before = point
    return None


def objective_at(curve: list[Point], seconds: float) -> float:
    """What a curve has reached after `seconds`, between points by a line."""
    return float(np.interp(seconds, [p.seconds for p in curve], [p.objective for p in curve]))


def rows_of(
    curves: dict[str, list[Point]], aucs: dict[str, dict[str, float]], edits: dict[str, Edits], epochs: float
) -> list[timing.Row]:
    """The table: times to the book's objectives, objectives at equal time, areas under the ROC curves, edits."""
    rows = []
    book, ours = curves[BOOK], curves[OURS]
    for goal in (e for e in EPOCHS if e <= epochs):
        at = min(book, key=lambda p: abs(p.epoch - goal))
        for peer in (BOOK, TORCH, TORCH_DRY):
            rows.append(
                timing.row(
                    "recipe",
                    f"to {at.objective:.1f} nats, the book's after {goal} epochs",
                    "s",
                    seconds_to(ours, at.objective),
                    peer_name=peer,
                    peer=seconds_to(curves[peer], at.objective) if peer in curves else None,
                    higher_is_better=False,
                    target="ratio >= 3" if peer == BOOK else None,
                )
            )
    end = min(ours[-1].seconds, book[-1].seconds)
    for peer in (BOOK, TORCH, TORCH_DRY):
        rows.append(
            timing.row(
                "recipe",
                f"objective after {end:.0f} s of training",
                "nats",
                objective_at(ours, end),
                peer_name=peer,
                peer=objective_at(curves[peer], end) if peer in curves else None,
                higher_is_better=False,
                target="ratio >= 1.25" if peer == BOOK else None,
            )
        )
    names = aucs[OURS].keys() & aucs[BOOK].keys()
    rows.append(
        timing.row(
            "recipe",
            f"area under the ROC curve, mean of {len(names)} attributes",
            "",
            float(np.mean([aucs[OURS][name] for name in names])),
            peer_name=BOOK,
            peer=float(np.mean([aucs[BOOK][name] for name in names])),
            target="ratio >= 1",
        )
    )
    leaks = {name: found.leak_at(HITS) for name, found in edits.items()}
    both = ~np.isnan(leaks[OURS]) & ~np.isnan(leaks[BOOK])
    if both.any():
        rows.append(
            timing.row(
                "recipe",
                f"other attributes turned where {HITS:.0%} of edits land, mean of {both.sum()} attributes",
                "",
                float(leaks[OURS][both].mean()),
                peer_name=BOOK,
                peer=float(leaks[BOOK][both].mean()),
                higher_is_better=False,
                target="ratio >= 1",
            )
        )
    return rows


def draw(path: Path, curves: dict[str, list[Point]]) -> None:
    """The curves as one picture: objective against seconds of training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, curve in curves.items():
        axes.plot([p.seconds for p in curve], [p.objective for p in curve], label=name, marker=".", markersize=4)
    axes.set_xlabel("seconds of training, compilation and scoring excluded")
    axes.set_ylabel("10000 · error + KL on the test split, nats")
    least = min(p.objective for curve in curves.values() for p in curve)
    axes.set_ylim(0.97 * least, 1.6 * least)
    axes.set_title(timing.device())
    axes.legend()
    axes.grid(alpha=0.3)
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=120)


def say(name: str, point: Point) -> None:
    """Prints a point of the curve `name`."""
    print(f"{name:26s} {point.epoch:5.1f} epochs {point.seconds:7.1f} s {point.objective:7.1f}", flush=True)


def main(path: Path | None = None, quick: bool = False, epochs: float = 20, points: int = 25) -> None:
    """Trains `celeba64` and the book's recipe on a store and compares them by the clock.

    Args:
      path: a packed store of 64x64 images, with its splits.
      quick: do nothing: this benchmark takes the better part of an hour on two cores.
      epochs: of the book's recipe.
      points: scores on the way.
    """
    if quick or path is None:
        print("recipe: not measured: give --path, a packed store of 64x64 images, and the better part of an hour")
        return
    store = PackedStore.open(path)
    if store.size != 64:
        raise InputError(f"{path} has images of {store.size} pixels, not 64: pack it with --size 64")
    book = preset("book").replace(image_size=64, epochs=epochs)
    curves: dict[str, list[Point]] = {}
    models: dict[str, Model] = {}
    for name, cfg in ((BOOK, book), (OURS, preset("celeba64"))):
        for point, model in our_curve(cfg, store, points):
            curves.setdefault(name, []).append(point)
            models[name] = model
            say(name, point)
    train = store.indices("train")
    judge = fit_judge(store.images[train], np.asarray(store.attrs[train]))
    aucs, edits = {}, {}
    for name, model in models.items():
        vectors = attribute_vectors(model, store)
        aucs[name] = attribute_aucs(model, vectors, store)
        edits[name] = edit(model, vectors, store, judge)
    for name, cfg in ((TORCH, book), (TORCH_DRY, book.replace(dropout=0.0))):
        for point in pytorch_curve(cfg, store, points):
            curves.setdefault(name, []).append(point)
            say(name, point)
    points_of = [(name, *p, p.objective) for name, curve in curves.items() for p in curve]
    timing.RESULTS.mkdir(exist_ok=True)
    with replacing(timing.RESULTS / f"recipe-{timing.platform()}.csv") as part:
        columns = ["recipe", "epoch", "seconds", "error", "kl", "objective"]
        pd.DataFrame(points_of, columns=columns).to_csv(part, index=False, float_format="%.6g")
    draw(timing.RESULTS.parent.parent / "docs" / f"recipe-{timing.platform()}.png", curves)
    rows = rows_of(curves, aucs, edits, epochs)
    timing.write(rows)
    print(table.text(rows))


if __name__ == "__main__":
    cli.run(main)
