"""Faster to the same picture: `celeba64` against the book's recipe, at one objective, by the clock.

    python -m benchmarks.bench_recipe --path data/celeba64

Trains five times on the training split of a store of 64x64 images, one seed each: `celeba64` as the preset has it; the
same network by Adam, for 20 epochs in batches of 32 that are not mirrored; and 20 epochs of the book's recipe (batch
32, Adam at 5e-4, dropout .25) here, in PyTorch, and in PyTorch without dropout. The five go on in turn, a stretch each;
then the clock stands still and the test split is scored by one objective, the book's: 10000 · squared error of a
sampled reconstruction + KL, in nats per image. Compilation is not counted.

Latents must stay as useful: each attribute's vector is estimated on the training split, the test split's means are
projected on it, and the area under the ROC curve says how well the projection tells who has the attribute. And the
vectors are applied to test faces (edits.py): the share of other attributes that turn over, where 80 % of edits land.

Writes results/recipe-<platform>.jsonl, results/recipe-<platform>.csv (the curves), and docs/recipe-<platform>.png.
"""

import itertools
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
from benchmarks.peers.common import Common
from benchmarks.training import Trainer
from jvae.cli.run import run
from jvae.config import Config
from jvae.data.packed import PackedStore
from jvae.errors import InputError
from jvae.io.files import replacing
from jvae.judge.ranking import roc_auc
from jvae.latent.encoding import attribute_statistics
from jvae.latent.vectors import AttributeVectors
from jvae.runtime.mesh import make_mesh
from jvae.trained import TrainedModel
from jvae.training.presets import preset
from jvae.training.task import part
from jvae.training.tasks.vae import BOOK_FACTOR
from jvae.training.validation import score

EPOCHS = (6, 20)  # of the book's recipe, whose objectives are to be reached
HITS = 0.8  # share of edits that are to land where their side effects are compared
BOOK, OURS, ADAM = "jvae book", "jvae celeba64", "jvae celeba64 by Adam"
TORCH, TORCH_NO_DROPOUT = "PyTorch book", "PyTorch book without dropout"
PEERS = (BOOK, TORCH, TORCH_NO_DROPOUT, ADAM)

Curves = dict[str, list["Point"]]


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


def score_steps(total: int, per_epoch: int, count: int) -> list[int]:
    """The steps at which a run of `total` is scored: `count` of them evenly, and the ends of the epochs in EPOCHS."""
    even = {round(total * (i + 1) / count) for i in range(count)}
    return sorted((even | {e * per_epoch for e in EPOCHS if e * per_epoch <= total}) - {0})


def our_curve(cfg: Config, store: PackedStore, count: int) -> Iterator[tuple[Point, TrainedModel]]:
    """Trains by the train loop's own program and yields the model each time that it is scored."""
    rows, test, mesh = store.indices("train"), store.indices("test"), make_mesh()
    total, per_epoch = cfg.loop.total_steps(len(rows)), len(rows) // cfg.loop.batch_size
    trainer = Trainer(cfg, store.images, rows, total_steps=total)
    next(trainer.feed.chunks(0))  # compiles what makes the order
    step, seconds = 0, 0.0
    for stop in score_steps(total, per_epoch, count):
        start = time.perf_counter()
        for chunk in trainer.feed.chunks(step):
            steps = min(cfg.loop.chunk_steps, stop - step)
            trainer.dispatch(chunk, steps)
            step += steps
            if step == stop:
                break
        jax.block_until_ready(trainer.state)
        seconds += time.perf_counter() - start
        variables = trainer.state.inference
        scores = score(trainer.task, variables, store, test, mesh=mesh)
        point = Point(step / per_epoch, seconds, scores["sampled_error"], scores["kl"])
        yield point, TrainedModel(cfg, jax.device_get(part(variables, "model")), step=step)


def pytorch_curve(cfg: Config, store: PackedStore, count: int) -> Iterator[tuple[Point, None]]:
    """The same by PyTorch; nothing where it is not installed."""
    train, test = (np.asarray(store.images[store.indices(split)]) for split in ("train", "test"))
    per_epoch = len(train) // cfg.loop.batch_size
    stops = score_steps(cfg.loop.total_steps(len(train)), per_epoch, count)
    same, dtype = Common.of(cfg), cfg.loop.dtype
    with pytorch("curve", same, dtype, train, quick=False, test=test, steps=10, stops=stops) as child:
        seconds = 0.0
        if child is None:
            return
        for stop in stops:
            took, error, kl = child.answer()
            seconds += took
            yield Point(stop / per_epoch, seconds, error, kl), None


def attribute_vectors(model: TrainedModel, store: PackedStore) -> AttributeVectors:
    """Of the training split."""
    stats = attribute_statistics(model, store.images, store.attrs, store.indices("train"), batch_size=512)
    return AttributeVectors.from_statistics(stats, store.attribute_names)


def attribute_aucs(z: np.ndarray, attrs: np.ndarray, vectors: AttributeVectors, names: tuple[str, ...]) -> pd.Series:
    """Area under the ROC curve, by attribute, of the projection of latents [n,d] with labels [n,a] on each vector."""
    there = {name: attrs[:, names.index(name)] for name in vectors}
    return pd.Series(
        {name: roc_auc(z @ vectors[name].unit, has) for name, has in there.items() if has.any() and not has.all()}
    )


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


def against_peers(
    case: str, unit: str, values: dict[str, float | None], curves: Curves, target: str
) -> list[timing.Row]:
    """A row a peer, of values of which less is better; a curve that never came so far has None."""

    def name_of(peer: str) -> str:
        ended = peer in curves and values[peer] is None
        return f"{peer} (not reached in {curves[peer][-1].seconds:.0f} s)" if ended else peer

    return [
        timing.row(
            "recipe",
            case,
            unit,
            values[OURS],
            peer_name=name_of(peer),
            peer=values.get(peer),
            higher_is_better=False,
            target=target if peer == BOOK else None,
            n=1,
        )
        for peer in PEERS
    ]


def curve_rows(curves: Curves) -> list[timing.Row]:
    """Times to the book's objectives, and objectives at equal time."""
    rows: list[timing.Row] = []
    reached = [goal for goal in EPOCHS if curves[BOOK][-1].epoch >= goal]
    marks = {goal: min(curves[BOOK], key=lambda p: abs(p.epoch - goal)) for goal in reached}
    for goal, mark in marks.items():
        case = f"training to the objective of jvae book after {goal} epochs"
        times = {name: seconds_to(curve, mark.objective) for name, curve in curves.items()}
        rows += against_peers(case, "s", times, curves, "ratio >= 3")
    ends = {f"when jvae book has done {goal} epochs": mark.seconds for goal, mark in marks.items()}
    ends["when the first of the runs ends"] = min(curve[-1].seconds for curve in curves.values())
    for when, seconds in ends.items():
        if all(curve[-1].seconds >= seconds for curve in curves.values()):
            at = {name: objective_at(curve, seconds) for name, curve in curves.items()}
            rows += against_peers(f"objective {when}", "nats", dict(at), curves, "ratio >= 1.25")
    return rows


def latent_rows(aucs: dict[str, pd.Series], edits: dict[str, Edits]) -> list[timing.Row]:
    """Areas under the ROC curves, and edits: how many attributes' land, and what else they turn."""
    ours, book = (aucs[name].reindex(aucs[OURS].index.intersection(aucs[BOOK].index)) for name in (OURS, BOOK))
    leaks = {name: found.leak_at(HITS) for name, found in edits.items()}
    both = ~np.isnan(leaks[OURS]) & ~np.isnan(leaks[BOOK])
    cases = [
        ("area under the ROC curve, mean over attributes", True, float(ours.mean()), float(book.mean())),
        (
            f"attributes of {len(both)} whose edits land on {HITS:.0%} of faces",
            True,
            *(float((~np.isnan(leaks[name])).sum()) for name in (OURS, BOOK)),
        ),
        (
            f"share of other attributes turned where {HITS:.0%} of edits land",
            False,
            *(float(leaks[name][both].mean()) if both.any() else None for name in (OURS, BOOK)),
        ),
    ]
    return [
        timing.row("recipe", case, "", ours, peer_name=BOOK, peer=peer, higher_is_better=more, target="ratio >= 1", n=1)
        for case, more, ours, peer in cases
    ]


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


def main(path: Path | None = None, quick: bool = False, epochs: float = 20, points: int = 25) -> None:
    """Trains `celeba64` and the book's recipe on a store and compares them by the clock.

    Args:
      path: a packed store of 64x64 images, with its splits.
      quick: do nothing: this benchmark takes the better part of an hour on two cores.
      epochs: of the book's recipe, and of `celeba64` by Adam.
      points: scores on the way.
    """
    if quick or path is None:
        print("recipe: not measured: give --path, a packed store of 64x64 images, and the better part of an hour")
        return
    store = PackedStore.open(path)
    if store.size != 64:
        raise InputError(f"{path} has images of {store.size} pixels, not 64: pack it with --size 64")
    dtype = timing.by_platform("float32", "bfloat16")  # of all
    book = preset("book").replace(image_size=64, epochs=epochs, dtype=dtype)
    ours = {BOOK: book, OURS: preset("celeba64").replace(dtype=dtype)}
    adam = {"name": "adam", "learning_rate": 3e-3, "ema_decay": 0.99, "bn_momentum": 0.99, "mirror": False}
    ours[ADAM] = ours[OURS].replace(**adam, batch_size=32, epochs=epochs)
    running: dict[str, Iterator[tuple[Point, TrainedModel | None]]] = {
        **{name: our_curve(cfg, store, points) for name, cfg in ours.items()},
        TORCH: pytorch_curve(book, store, points),
        TORCH_NO_DROPOUT: pytorch_curve(book.replace(dropout=0.0), store, points),
    }
    curves: Curves = {}
    models: dict[str, TrainedModel] = {}
    for turn in itertools.zip_longest(*running.values()):
        for name, scored in zip(running, turn, strict=True):
            if scored is None:
                continue
            point, model = scored
            curves.setdefault(name, []).append(point)
            if model is not None:
                models[name] = model
            print(f"{name:30s} {point.epoch:5.1f} epochs {point.seconds:7.1f} s {point.objective:7.1f}", flush=True)
        write_curves(timing.RESULTS / f"recipe-{timing.platform()}.csv", curves)
    draw(table.ROOT / "docs" / f"recipe-{timing.platform()}.png", curves)
    train, test = store.indices("train"), store.indices("test")
    judge = fit_judge(store.images[train], np.asarray(store.attrs[train]))
    aucs, edits = {}, {}
    for name, model in models.items():
        vectors, z = attribute_vectors(model, store), model.encode(np.asarray(store.images[test]))
        aucs[name] = attribute_aucs(z, np.asarray(store.attrs[test]), vectors, store.attribute_names)
        edits[name] = edit(model, z, vectors, store, judge)
    rows = curve_rows(curves) + latent_rows(aucs, edits)
    timing.write(rows)
    print(table.text(rows))


def write_curves(path: Path, curves: Curves) -> None:
    """The points of the curves as a CSV file."""
    rows = [(name, *p, p.objective) for name, curve in curves.items() for p in curve]
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as part:
        columns = ["recipe", "epoch", "seconds", "error", "kl", "objective"]
        pd.DataFrame(rows, columns=columns).to_csv(part, index=False, float_format="%.6g")


if __name__ == "__main__":
    run(main)
