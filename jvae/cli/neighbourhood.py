"""`jvae neighbourhood`: one face, changed along two attributes at once."""

import numpy as np

from jvae.cli.annotated import Maybe
from jvae.cli.flags import PROBABILITIES, Figure, Steps, Trained
from jvae.data.faces import find_faces
from jvae.latent import grids
from jvae.latent.attribute import UNIT_NAMES, factor_names, warn_beyond
from jvae.latent.moves import chances

FACTORS = (-4, -2, 0, 2, 4)


def main(
    trained: Trained,
    face: str,
    x: str = "Smiling",
    y: str = "Eyeglasses",
    factors_x: Maybe[tuple[float, ...]] = None,
    factors_y: Maybe[tuple[float, ...]] = None,
    steps: Steps = Steps(),
    figure: Figure = Figure(),
) -> None:
    """Draws a face changed along one attribute to the right and along another one downwards.

    Args:
      face: face to change: an image_id of the store, or an image file.
      x: attribute whose vector is added along a row.
      y: attribute whose vector is added down a column.
      factors_x: multiples of the vector of x to add, from left to right (default: -4 to 4, of probabilities .01 to
        .99).
      factors_y: multiples of the vector of y to add, from top to bottom (default: likewise).
    """
    to_probability = steps.unit == "probability"
    usual = PROBABILITIES if to_probability else FACTORS
    factors_x, factors_y = factors_x or usual, factors_y or usual
    out = figure.path(trained, "neighbourhood")
    model, store = trained.open()
    known = steps.load(trained, model)
    found = find_faces(store, [face], model.crop)
    z = model.encode(found.images)[0]
    vectors = known.moving(x), known.moving(y)
    grid = grids.neighbourhood(z, *vectors, factors_x, factors_y, steps.unit)
    for vector in vectors:
        warn_beyond(vector, grid)
    original = np.full((len(grid), 1, *found.images.shape[1:]), 255, np.uint8)
    itself = chances(z, known)[y] if to_probability else 0.0  # the factor at which it is as it was
    original[np.argmin(np.abs(np.subtract(factors_y, itself)))] = found.images[0]
    figure.save(
        out,
        np.concatenate([original, model.decode(grid)], axis=1),
        rows=factor_names(factors_y, steps.unit),
        columns=["original", *factor_names(factors_x, steps.unit)],
        title=f"{found.names[0]}: {x} to the right, {y} downwards, in {UNIT_NAMES[steps.unit]} ({known.kind})",
        breaks=(1,),
    )
