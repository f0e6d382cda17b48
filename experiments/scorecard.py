"""Scores a run: do the edits do what they say, and how good are reconstructions and samples?

    python experiments/scorecard.py --run runs/y --data data/x --judge data/x-judge.npz

shows the table and writes runs/y/scorecard/: page.png (all of it, to look at), attributes.csv (a row a kind and
attribute), leakage.png (large) and scorecard.json (everything). The judge is a classifier of photographs, made by
experiments/train_judge.py.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

import jvae
from jvae import cli
from jvae.data.faces import open_store, pick_faces
from jvae.errors import InputError
from jvae.evaluate import card
from jvae.evaluate.edits import leak_matrix
from jvae.evaluate.inception import Inception
from jvae.io.files import replacing
from jvae.judge.judge import Judge
from jvae.latent.kinds import Kind
from jvae.render.charts import save_matrices
from jvae.render.figure import labelled
from jvae.render.page import save_page
from jvae.runtime.processes import is_main, together
from jvae.trained import load_vectors


@together
def main(
    run: Path,
    data: Path,
    judge: Path,
    balance: tuple[str, ...] = ("Male",),
    keep: tuple[str, ...] = ("Male", "Young"),
    attributes: tuple[str, ...] = (),
    faces: int = 64,
    least_auc: float = card.LEAST_AUC,
    truth: int | None = None,
    inception: Path | None = None,
    vectors: Path | None = None,
    out: Path | None = None,
) -> None:
    """Scores the edits of every kind of vector, reconstructions and samples of a run, on the test split.

    Args:
      run: directory of the trained run.
      data: packed store.
      judge: file of the judge.
      balance: attributes by whose groups the balanced vectors average.
      keep: attributes that the conditional vectors leave alone.
      attributes: to edit (default: all that the judge tells and that have a vector).
      faces: to edit, an attribute.
      least_auc: attributes count, as edits and as leakage, that the judge tells this well (area under the ROC curve).
      truth: of rendered faces, another seed than the store's: edits are held against faces rendered with the attribute.
      inception: file of InceptionV3's weights (.npz or .safetensors), for Fréchet distances in its features too.
      vectors: file of the vectors (default: vectors.npz in the run).
      out: directory to write (default: scorecard/ in the run).
    """
    if faces < 2:
        raise InputError(f"faces={faces} must be at least 2")
    out = out or run / "scorecard"
    model = jvae.load(run)
    store = open_store(data, model.image_size)
    known, judging = load_vectors(run, model, vectors), Judge.load(judge, mesh=model.mesh)
    if judging.image_size != model.image_size:
        raise InputError(f"{judge} judges images of {judging.image_size} pixels and the run's are {model.image_size}")
    extractor = Inception.load(inception, mesh=model.mesh) if inception else None
    kinds = [Kind(), Kind("balanced", balance=balance), Kind("regression"), Kind("lda")]
    kinds += [Kind("conditional", keep=keep), Kind("regression", keep=keep)]
    result = card.score(
        model,
        known,
        judging,
        store,
        kinds=kinds,
        edited=attributes or None,
        faces=faces,
        least_auc=least_auc,
        truth=truth,
        inception=extractor,
        report=print,
    )
    lines = [*result.summary().to_string(float_format="{:.3f}".format).splitlines(), "", *result.lines()]
    print("\n".join(lines))
    two = (kinds[0], kinds[2])
    some = pick_faces(store, 1, split="test", seed=0)
    z, best, factors = model.encode(some.images), result.best_attributes(6), np.arange(-3, 4)
    known_two = [known.of_kind(kind) for kind in two]
    rows = [jvae.apply_vector(z, of_kind[name], factors, "sd", model)[0] for name in best for of_kind in known_two]
    if not is_main():
        return
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / "scorecard.json") as part:
        part.write_text(json.dumps(result.as_json(), indent=1) + "\n")
    with replacing(out / "attributes.csv") as part:
        pd.concat({str(kind): result.table(kind) for kind in kinds}, names=["kind"]).to_csv(part)
    matrices = {str(kind): leak_matrix(result.edits[kind], result.judged) for kind in two}
    title = "Share of faces in which a judgement turned over: a row an edit, a column a judgement"
    save_matrices(out / "leakage.png", matrices, result.judged, title=title)
    picture = labelled(
        np.stack(rows),
        rows=[text for name in best for text in (name, "")],
        columns=[f"{factor:+d} sd" if factor else "0" for factor in factors],
        title=f"The attributes whose edits land best, by {two[0]} and, below, by {two[1]}: {some.names[0]}",
    )
    save_page(
        out / "page.png",
        title=f"{run.name}: scorecard",
        lines=lines,
        curves={str(kind): result.curve(kind) for kind in kinds} if best else {},
        axes=("leakage, mean", "hits, mean over attributes and faces"),
        matrices={f"{heading}: judgements turned over": matrix for heading, matrix in matrices.items()},
        names=result.judged,
        picture=picture,
    )
    print(f"wrote {out}")


if __name__ == "__main__":
    cli.run(main)
