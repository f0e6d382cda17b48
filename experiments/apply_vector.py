"""Moves faces along an attribute.

    python experiments/apply_vector.py --run runs/y --data data/x --attribute Eyeglasses --factors -4 -2 0 2 4

writes runs/y/figures/Eyeglasses.png: a row a face, first the original, then a column a factor.
"""

from pathlib import Path

import numpy as np

import jvae
from jvae import cli
from jvae.data.faces import find_faces, open_store, pick_faces
from jvae.latent.attribute import UNIT_NAMES, Unit, factor_names, warn_beyond
from jvae.latent.kinds import Name, find_kind
from jvae.render.figure import check_suffix, labelled, save_png
from jvae.render.grid import join_grid, render_grid, split_grid
from jvae.render.residual import render_residual
from jvae.trained import load_vectors

FACTORS = (-4, -3, -2, -1, 0, 1, 2, 3, 4)
PROBABILITIES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)


def main(
    run: Path,
    data: Path,
    attribute: str,
    factors: tuple[float, ...] | None = None,
    unit: Unit = "unit",
    kind: Name | None = None,
    balance: tuple[str, ...] = (),
    keep: tuple[str, ...] = (),
    count: int = 5,
    images: tuple[str, ...] = (),
    split: str = "test",
    seed: int = 0,
    vectors: Path | None = None,
    out: Path | None = None,
    raw: bool = False,
    residual: bool = False,
) -> None:
    """Moves faces along an attribute: a row a face, the original and then a column a factor.

    Args:
      run: directory of the trained run.
      data: packed store.
      attribute: whose vector is added.
      factors: how often, one after the other (default: -4 to 4; of probabilities, .01 to .99).
      unit: of the factors: unit length, raw (1 is the way between the mean faces), sd (standard deviations), or
        probability (where to, between 0 and 1, instead of how far).
      kind: of the vectors: difference (the book's), balanced, regression, lda, conditional (default: as saved).
      balance: attributes by whose groups a balanced vector averages.
      keep: attributes along whose vectors nothing shall change, whatever the kind.
      count: faces to pick.
      images: image_ids of the store or image files, instead of picking.
      split: to pick from, faces that do not have the attribute.
      seed: of the choice.
      vectors: file of the vectors (default: vectors.npz in the run).
      out: PNG to write (default: figures/<attribute>.png in the run).
      raw: bare tiles without labels.
      residual: paint only the change, onto the original, which keeps its detail.
    """
    out = out or run / "figures" / f"{attribute}.png"
    check_suffix(out, ".png")
    factors = factors or (PROBABILITIES if unit == "probability" else FACTORS)
    model = jvae.load(run)
    store = open_store(data, model.image_size)
    known = load_vectors(run, model, vectors, find_kind(kind, balance, keep))
    vector = known[attribute]
    faces = find_faces(store, images) if images else pick_faces(store, count, split=split, without=attribute, seed=seed)
    z = model.encode(faces.images)
    latents = jvae.apply_vector(z, vector, factors, unit)
    warn_beyond(vector, latents)
    if residual:
        tiles = render_residual(model.decode_fn, model.variables, faces.images, z, latents)
        picture = join_grid(np.concatenate([faces.images[:, None], tiles], axis=1))
    else:
        picture = render_grid(model.decode_fn, model.variables, latents, left=faces.images)
    if not raw:
        picture = labelled(
            split_grid(picture, len(latents), len(factors) + 1),
            rows=faces.names,
            columns=["original", *factor_names(factors, unit)],
            title=f"{attribute} ({known.kind}), in {UNIT_NAMES[unit]}",
            breaks=(1,),
        )
    save_png(out, picture)
    print(f"wrote {out}")


if __name__ == "__main__":
    cli.run(main)
