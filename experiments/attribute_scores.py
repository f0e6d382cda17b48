"""Scores how well each attribute vector tells its attribute.

    python experiments/attribute_scores.py --run runs/y --data data/x

shows a table and writes it as runs/y/figures/attribute_scores.csv, with the ROC curves as attribute_scores.png.
"""

from pathlib import Path

import jvae
from jvae import cli
from jvae.data.faces import open_store
from jvae.evaluate.projections import score
from jvae.io.files import replacing
from jvae.latent.kinds import Name, find_kind
from jvae.render.charts import save_curves
from jvae.render.figure import check_suffix
from jvae.trained import load_vectors


def main(
    run: Path,
    data: Path,
    kind: Name | None = None,
    balance: tuple[str, ...] = (),
    keep: tuple[str, ...] = (),
    split: str = "test",
    thresholds: str = "validation",
    vectors: Path | None = None,
    out: Path | None = None,
) -> None:
    """Scores how well the latents' places along each attribute vector tell the attribute.

    Args:
      run: directory of the trained run.
      data: packed store.
      kind: of the vectors: difference, balanced, regression, lda, conditional (default: as saved).
      balance: attributes by whose groups a balanced vector averages.
      keep: attributes along whose vectors nothing shall change, whatever the kind.
      split: to score.
      thresholds: the split on which the thresholds are found.
      vectors: file of the vectors (default: vectors.npz in the run).
      out: PNG of the ROC curves, the table goes beside it (default: figures/attribute_scores.png in the run).
    """
    out = out or run / "figures" / "attribute_scores.png"
    check_suffix(out, ".png")
    model = jvae.load(run)
    store = open_store(data, model.image_size)
    known = load_vectors(run, model, vectors, find_kind(kind, balance, keep))
    columns = [store.attribute(name) for name in known.attribute_names]
    sets = [store.indices(name) for name in (split, thresholds)]
    latents = [model.encode(store.read(rows)) for rows in sets]
    labels = [store.attrs[rows][:, columns] for rows in sets]
    found = score(known, latents[0], labels[0], latents[1], labels[1])
    title = f"ROC curves of {len(found.curves)} vectors ({known.kind}) on {len(latents[0]):,} {split} images"
    curves = {name: found.curves[name] for name in found.table.index}
    save_curves(out, curves, title=title)
    table = out.with_suffix(".csv")
    with replacing(table) as part:
        found.table.to_csv(part)
    print(found.table.rename_axis(None).to_string(float_format="{:.3f}".format))
    for name, reason in found.missing.items():
        print(f"{name} is not scored: {reason}")
    means = found.table[["auc", "balanced", "accuracy", "majority"]].mean()
    print("means: " + ", ".join(f"{name} {value:.3f}" for name, value in means.items()))
    print(f"wrote {out} and {table}")


if __name__ == "__main__":
    cli.run(main)
