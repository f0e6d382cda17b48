"""Attribute vectors in; a map of them, as PNG on disk, out."""

import os

from jvae.latent import maps
from jvae.latent.vectors import AttributeVectors
from jvae.render.charts import save_matrices


def save_map(path: str | os.PathLike[str], known: AttributeVectors) -> None:
    """Draws the cosines of all vectors beside the correlations of their labels, alike next to alike.

    Raises:
      InputError: `path` does not end in .png, or there are no vectors.
    """
    columns = [known.attribute_names.index(name) for name in known]
    cosines = maps.cosines(known)
    labels = maps.correlations(known.totals)[columns][:, columns]
    order = maps.order(labels)
    ordered = {
        f"cosines of the vectors ({known.kind})": cosines[order][:, order],
        "correlations of the labels": labels[order][:, order],
    }
    title = f"{len(order)} attributes of {known.totals.n:,} images"
    save_matrices(path, ordered, [known.names[i] for i in order], title=title)
