"""`jvae map`: which attribute vectors point the same way, and which labels go together."""

from jvae.cli.flags import Chart, Run, Vectors
from jvae.latent import maps
from jvae.render.charts import save_matrices


def main(run: Run, vectors: Vectors = Vectors(), chart: Chart = Chart()) -> None:
    """Draws the cosines of all attribute vectors beside the correlations of their labels, alike next to alike."""
    out = chart.path(run, "map")
    known = vectors.load(run, run.load())
    columns = [known.attribute_names.index(name) for name in known]
    cosines = maps.cosines(known)
    labels = maps.correlations(known.totals)[columns][:, columns]
    order = maps.order(labels)
    ordered = {
        f"cosines of the vectors ({known.kind})": cosines[order][:, order],
        "correlations of the labels": labels[order][:, order],
    }
    title = f"{len(order)} attributes of {known.totals.n:,} images"
    save_matrices(out, ordered, [known.names[i] for i in order], title=title)
    print(f"wrote {out}")
