"""Scores a run: do the edits do what they say, and how good are reconstructions and samples?

    python experiments/scorecard.py --run runs/y --data data/x --judge data/x-judge.npz

writes runs/y/scorecard/scorecard.json, page.png and leakage.png, and shows the table. The judge is a classifier of
photographs, made by experiments/train_judge.py.
"""

import json
from pathlib import Path

import numpy as np

import jvae
from jvae import cli
from jvae.data.faces import open_store, pick_faces
from jvae.errors import InputError
from jvae.evaluate import card
from jvae.evaluate.edits import leak_matrix
from jvae.evaluate.judge import Judge
from jvae.files import replacing
from jvae.frozen import load_vectors
from jvae.latent.kinds import Kind
from jvae.processes import is_main, together
from jvae.render.charts import save_matrices
from jvae.render.figure import labelled, save_png


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
        report=print,
    )
    shown = result.summary()
    print(shown.to_string(float_format="{:.3f}".format))
    print(result.reconstruction_line())
    best = result.best_attributes(6)
    some = pick_faces(store, 1, split="test", seed=0)
    z = model.encode(some.images)
    rows, names = [], []
    shown_kinds = [known.of_kind(kind) for kind in (kinds[0], kinds[2])]
    for name in best:
        for of_kind in shown_kinds:
            rows.append(jvae.apply_vector(z, of_kind[name], np.arange(-3, 4), "sd", model)[0])
            names.append(f"{name}, {of_kind.kind}")
    if not is_main():
        return
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / "scorecard.json") as part:
        part.write_text(json.dumps(result.as_json(), indent=1) + "\n")
    matrices = {str(kind): leak_matrix(result.edits[kind], result.judged) for kind in (kinds[0], kinds[2])}
    title = "Share of faces in which a judgement turned over: a row an edit, a column a judgement"
    save_matrices(out / "leakage.png", matrices, result.judged, title=title)
    page = labelled(
        np.stack(rows),
        rows=names,
        columns=[f"{factor:+d} sd" if factor else "0" for factor in range(-3, 4)],
        title=f"{run.name}: the attributes whose edits land best, {some.names[0]}",
    )
    save_png(out / "page.png", page)
    print(f"wrote {out}")


if __name__ == "__main__":
    cli.run(main)
