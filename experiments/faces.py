"""Faces that people recognise, and vectors learned through the decoder: the preset `faces` on CelebA, and its figures.

    python experiments/faces.py --path data/celeba

PATH is as for experiments/celeba.py. One to two hours on two cores; a second call goes on. Expect of 20,000 images, on
test: same person .82, right one of 600 .54, judged alike .94, hits by own factors .63, .80 decoded (docs/faces.md).
"""

from pathlib import Path
from typing import Any

import numpy as np

from jvae.cli import judge, pack, scorecard, scores, train, vectors
from jvae.cli.flags import Kinds, Trained, Vectors
from jvae.cli.run import run
from jvae.data.sources.celeba import CelebAFolder
from jvae.evaluate.edits import judge_edits
from jvae.judge.judge import Judge
from jvae.trained import load_vectors
from jvae.training.presets import preset

TEN = "Bald Bangs Blond_Hair Eyeglasses Male Mouth_Slightly_Open Mustache Smiling Wearing_Hat Young".split()
HOW: Any = {"edited": TEN, "faces": 160, "prices": np.geomspace(100, 0.5, 60)}


def main(path: Path = Path("data/celeba"), out: Path = Path("runs/faces"), seed: int = 0, split: str = "test") -> None:
    """Trains three judges and a model, learns vectors by two of the judges, and has the third judge their edits.

    Args:
      path: folder of CelebA's files.
      out: run directory; the store and the judges, shared by all runs there, go beside it.
      seed: seed of the model and the vectors; it also says which of the judges takes which part.
      split: split whose edits are judged: validation to choose by, test to report.
    """
    if not (data := out.with_name("faces-store")).exists():
        pack.pack_source(CelebAFolder(path), out=data, size=preset("faces").model.image_size)
    judges = [out.with_name(f"faces-judge{i}") for i in range(3)]
    for i, each in enumerate(judges):
        judge.main(preset("judge").replace(seed=i), data, each)
    judges = judges[seed % 3 :] + judges[: seed % 3]
    train.main(preset("faces").replace(seed=seed, judge=str(judges[1])), data, out)
    trained = Trained(out, data)
    vectors.main(trained, kinds=Kinds(kind="learned"), judges=tuple(judges[1:]), seed=seed)
    scores.main(trained, vectors=Vectors(kind="lda"))
    scorecard.main(trained, judges[0])
    model, store = trained.open()
    known, rows = load_vectors(out, model), store.indices(split)
    scorer, *teachers = (Judge.load(each, mesh=model.mesh) for each in judges)
    z, photographs = model.encode(store.images, rows=rows), store.read(rows)
    for kind, choosers, most in (("regression", (), 6), ("learned", (), 6), ("learned", teachers, 9)):  # sd
        for how, onto in (("decoded", None), ("painted", photographs)):
            given = {**HOW, "choosers": choosers, "factors": np.arange(0, most + 0.1, 0.25), "photographs": onto}
            found = judge_edits(model, known.of_kind(kind), scorer, z, store.attrs[rows], **given)
            hits = [np.mean([edit.hits_at(share) for edit in found.values()]) for share in (0.05, 0.1)]
            print(f"{split}, {kind}, {how}, {len(choosers)} choosers: hits at 5, 10 % flips", np.round(hits, 3))


if __name__ == "__main__":
    run(main)
