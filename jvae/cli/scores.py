"""`jvae scores`: how well each attribute vector tells its attribute."""

import warnings

from jvae.cli.flags import Chart, Trained, Vectors
from jvae.errors import InputWarning
from jvae.evaluate.projections import score_vectors
from jvae.evaluate.provenance import warn_of_fit
from jvae.io.files import replacing
from jvae.render.charts import save_curves


def main(
    trained: Trained,
    split: str = "test",
    thresholds: str = "validation",
    vectors: Vectors = Vectors(),
    chart: Chart = Chart(),
) -> None:
    """Scores how well the latents' positions along each attribute vector tell the attribute.

    Shows a table and writes it beside the picture, whose small charts are ROC curves.

    Args:
      split: split to score.
      thresholds: split on which the thresholds are found; that which is scored flatters.
    """
    if split == thresholds:
        warnings.warn(
            f"--thresholds {thresholds} finds the thresholds on the images that are scored, so that accuracy and "
            "balanced say how well they fit: give another split",
            InputWarning,
            stacklevel=2,
        )
    out = chart.path(trained, "scores")
    model, store = trained.open()
    known = vectors.load(trained, model)
    warn_of_fit(known, split, store)
    columns = [store.attribute(name) for name in known.attribute_names]
    sets = [store.indices(name) for name in (split, thresholds)]
    latents = [model.encode(store.read(rows)) for rows in sets]
    labels = [store.attrs[rows][:, columns] for rows in sets]
    found = score_vectors(known, latents[0], labels[0], latents[1], labels[1])
    title = f"ROC curves of {len(found.curves)} vectors ({known.kind}) on {len(latents[0]):,} {split} images"
    save_curves(out, {name: found.curves[name] for name in found.table.index}, title=title)
    table = out.with_suffix(".csv")
    with replacing(table) as part:
        found.table.to_csv(part)
    print(found.table.rename_axis(None).to_string(float_format="{:.3f}".format))
    for name, reason in found.missing.items():
        print(f"{name} is not scored: {reason}")
    means = found.table[["auc", "balanced", "accuracy", "majority"]].mean()
    print("means: " + ", ".join(f"{name} {value:.3f}" for name, value in means.items()))
    print(f"wrote {out} and {table}")
