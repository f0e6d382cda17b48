"""Draws what is around a face: it, changed along two attributes at once.

    python experiments/neighbourhood.py --run runs/y --data data/x --face 000238.jpg --x Smiling --y Eyeglasses

writes runs/y/figures/neighbourhood.png: a column a factor of the first attribute, a row a factor of the second.
"""

from pathlib import Path

import numpy as np

import jvae
from jvae import cli
from jvae.data.faces import find_faces, open_store
from jvae.latent.attribute import UNIT_NAMES, Unit, factor_names, warn_beyond
from jvae.latent.kinds import Name, find_kind
from jvae.render.figure import check_suffix, labelled, save_png
from jvae.render.grid import render_grid, split_grid
from jvae.trained import load_vectors


def main(
    run: Path,
    data: Path,
    face: str,
    x: str = "Smiling",
    y: str = "Eyeglasses",
    factors_x: tuple[float, ...] = (-4, -2, 0, 2, 4),
    factors_y: tuple[float, ...] = (-4, -2, 0, 2, 4),
    unit: Unit = "unit",
    kind: Name | None = None,
    balance: tuple[str, ...] = (),
    keep: tuple[str, ...] = (),
    vectors: Path | None = None,
    out: Path | None = None,
    raw: bool = False,
) -> None:
    """Draws what is around a face: it, changed along one attribute to the right and along another one downwards.

    Args:
      run: directory of the trained run.
      data: packed store.
      face: image_id of the store, or an image file.
      x: attribute whose vector is added along a row.
      y: attribute whose vector is added down a column.
      factors_x: how often, from left to right.
      factors_y: how often, from top to bottom.
      unit: of the factors: unit length, raw (1 is the way between the mean faces), sd (standard deviations), or
        probability (where to, between 0 and 1, instead of how far).
      kind: of the vectors: difference (the book's), balanced, regression, lda, conditional (default: as saved).
      balance: attributes by whose groups a balanced vector averages.
      keep: attributes along whose vectors nothing shall change, whatever the kind.
      vectors: file of the vectors (default: vectors.npz in the run).
      out: PNG to write (default: figures/neighbourhood.png in the run).
      raw: bare tiles without labels.
    """
    out = out or run / "figures" / "neighbourhood.png"
    check_suffix(out, ".png")
    model = jvae.load(run)
    store = open_store(data, model.image_size)
    known = load_vectors(run, model, vectors, find_kind(kind, balance, keep))
    found = find_faces(store, [face])
    z = model.encode(found.images)[0]
    grid = jvae.neighbourhood(z, known[x], known[y], factors_x, factors_y, unit)
    for name in (x, y):
        warn_beyond(known[name], grid)
    left = np.full((len(grid), *found.images.shape[1:]), 255, np.uint8)
    left[np.argmin(np.abs(factors_y))] = found.images[0]
    picture = render_grid(model.decode_fn, model.variables, grid, left=left)
    if not raw:
        picture = labelled(
            split_grid(picture, len(factors_y), len(factors_x) + 1),
            rows=factor_names(factors_y, unit),
            columns=["original", *factor_names(factors_x, unit)],
            title=f"{found.names[0]}: {x} to the right, {y} downwards, in {UNIT_NAMES[unit]} ({known.kind})",
            breaks=(1,),
        )
    save_png(out, picture)
    print(f"wrote {out}")


if __name__ == "__main__":
    cli.run(main)
