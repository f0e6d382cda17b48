"""A store in, a judge of its attributes out: trained as anything is, then given thresholds and scores of its own."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jax.sharding import Mesh

from jvae.config import Config
from jvae.data.packed import PackedStore, opened
from jvae.data.source import SPLITS
from jvae.judge.judge import JUDGE, Judge, batched_logits, score_judge
from jvae.judge.net import JudgeNet, Logits
from jvae.judge.ranking import best_threshold
from jvae.runtime.mesh import make_mesh
from jvae.runtime.processes import is_main
from jvae.training.checkpoint import restore_network
from jvae.training.loop import Ending, train
from jvae.training.presets import preset
from jvae.training.run import read_config, steps_of
from jvae.training.tasks.judge import judgeable


def train_judge(
    store: PackedStore | str | os.PathLike[str],
    run: str | os.PathLike[str],
    cfg: Config | None = None,
    *,
    mesh: Mesh | None = None,
    progress: bool = True,
    stopped: Callable[[], int | None] = lambda: None,
) -> Judge | Ending:
    """Trains a judge of all attributes on the training split, sets its thresholds on validation and scores it on test.

    A threshold is where the balanced accuracy on validation images, as they are and softened, is highest.

    Args:
      store: of images and labels, or the path of a packed one.
      run: the run directory, as of `train`; the judge goes there too, as judge.npz.
      cfg: None is the preset "judge". A tenth of the steps are the warm-up, where its warmup_steps are 0.
      mesh: the devices; None takes all there are.
      progress: show a bar.
      stopped: as of `train`.

    Returns:
      The judge; or how training ended, where it was stopped before its end.

    Raises:
      InputError: a split is empty or too small, no attribute can be judged, or see `train`.
    """
    store = opened(store)
    cfg, mesh, run = cfg or preset("judge"), make_mesh() if mesh is None else mesh, Path(run)
    rows, *_ = (store.indices(split) for split in SPLITS)  # each is needed, the last when all is trained
    total = cfg.loop.total_steps(len(rows))
    if not cfg.optimizer.warmup_steps:
        begun = read_config(run).optimizer.warmup_steps if steps_of(run) else 0  # for fewer or more steps, as may be
        cfg = cfg.replace(warmup_steps=begun or max(1, total // 10))
    ending = train(cfg, store, run, mesh=mesh, progress=progress, stopped=stopped)
    if ending.step < ending.total:
        return ending
    judge = finished_judge(store, run, mesh)
    if is_main():
        judge.save(run / JUDGE)
    return judge


def finished_judge(store: PackedStore, run: Path, mesh: Mesh) -> Judge:
    """The judge that the last checkpoint of a run is, with thresholds of validation and scores of test images.

    Raises:
      InputError: `run` is no run of a judge, or of another store.
    """
    record, _, own = restore_network(run, "judge", "judge", "last", mesh)
    names = record.labels
    blocks = record.config.model.blocks
    logits_fn = Logits(JudgeNet(len(names), store.size, blocks=blocks))
    logits = {}
    for split in ("validation", "test"):
        for soft in (False, True):
            rows = store.indices(split)
            logits[split, soft] = batched_logits(logits_fn, own, store.images, rows, mesh, soft=soft)
    attrs = store.attrs[:, [store.attribute(name) for name in names]]
    known = np.concatenate([logits["validation", False], logits["validation", True]])  # [2n,a]
    has = np.tile(attrs[store.indices("validation")], (2, 1))
    thresholds = np.array([best_threshold(known[:, i], has[:, i]) for i in range(len(names))])
    test = attrs[store.indices("test")]
    scores = score_judge(names, thresholds, test, logits["test", False], logits["test", True])
    how = {"blocks": blocks, "crop": store.crop, "mesh": mesh}
    return Judge(names, store.size, own, thresholds, scores, judgeable(store)[1], **how)
