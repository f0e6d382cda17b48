"""Maps the attribute vectors: which point the same way, and which labels go together.

    python experiments/vector_map.py --run runs/y

writes runs/y/figures/vector_map.png.
"""

from pathlib import Path

import jvae
from jvae import cli
from jvae.latent import maps
from jvae.latent.kinds import Name, find_kind
from jvae.render.charts import save_matrices
from jvae.render.figure import check_suffix
from jvae.trained import load_vectors


def main(
    run: Path,
    kind: Name | None = None,
    balance: tuple[str, ...] = (),
    keep: tuple[str, ...] = (),
    vectors: Path | None = None,
    out: Path | None = None,
) -> None:
    """Draws the cosines of all attribute vectors beside the correlations of their labels, alike next to alike.

    Args:
      run: directory of the trained run.
      kind: of the vectors: difference, balanced, regression, lda, conditional (default: as saved).
      balance: attributes by whose groups a balanced vector averages.
      keep: attributes along whose vectors nothing shall change, whatever the kind.
      vectors: file of the vectors (default: vectors.npz in the run).
      out: PNG to write (default: figures/vector_map.png in the run).
    """
    out = out or run / "figures" / "vector_map.png"
    check_suffix(out, ".png")
    known = load_vectors(run, jvae.load(run), vectors, find_kind(kind, balance, keep))
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


if __name__ == "__main__":
    cli.run(main)
