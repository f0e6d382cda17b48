"""Draws what is around a face: it, changed along two attributes at once.

    python experiments/neighbourhood.py --run runs/y --data data/x --face 000238.jpg --x Smiling --y Eyeglasses

writes runs/y/figures/neighbourhood.png: a column a factor of the first attribute, a row a factor of the second.
"""

import sys
from pathlib import Path
from typing import Literal

import numpy as np

import jvae
from jvae import cli
from jvae.data.faces import find_faces, open_store
from jvae.render.figure import check_suffix, labelled, save_png
from jvae.render.grid import render_grid, split_grid


def main(
    run: Path,
    data: Path,
    face: str,
    x: str = "Smiling",
    y: str = "Eyeglasses",
    factors_x: tuple[float, ...] = (-4, -2, 0, 2, 4),
    factors_y: tuple[float, ...] = (-4, -2, 0, 2, 4),
    unit: Literal["unit", "raw", "sd"] = "unit",
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
      unit: of the factors: unit length, raw (1 is the way between the mean faces), or sd (standard deviations).
      vectors: file of the vectors (default: vectors.npz in the run).
      out: PNG to write (default: figures/neighbourhood.png in the run).
      raw: bare tiles without labels.
    """
    out = out or run / "figures" / "neighbourhood.png"
    check_suffix(out, ".png")
    model = jvae.load(run)
    store = open_store(data, model.image_size)
    known = jvae.AttributeVectors.load(vectors or run / "vectors.npz")
    if known.origin.step != model.step:
        print(
            f"warning: the vectors are of step {known.origin.step} and the run is at {model.step}: "
            "experiments/attribute_vectors.py estimates them anew",
            file=sys.stderr,
        )
    found = find_faces(store, [face])
    z = model.encode(found.images)[0]
    grid = jvae.neighbourhood(z, known[x], known[y], factors_x, factors_y, unit)
    left = np.full((len(grid), *found.images.shape[1:]), 255, np.uint8)
    left[np.argmin(np.abs(factors_y))] = found.images[0]
    picture = render_grid(model.decode_fn, model.variables, grid, left=left)
    if not raw:
        names = {"unit": "unit lengths", "raw": "differences of the means", "sd": "standard deviations"}
        picture = labelled(
            split_grid(picture, len(factors_y), len(factors_x) + 1),
            rows=[f"{factor:+g}" if factor else "0" for factor in factors_y],
            columns=["original", *(f"{factor:+g}" if factor else "0" for factor in factors_x)],
            title=f"{found.names[0]}: {x} to the right, {y} downwards, in {names[unit]}",
            breaks=(1,),
        )
    save_png(out, picture)
    print(f"wrote {out}")


if __name__ == "__main__":
    cli.run(main)
