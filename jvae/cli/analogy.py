"""`jvae analogy`: a is to b as c is to what? White's J-diagram."""

import numpy as np

from jvae.cli.flags import Figure, Grid, Motion, Trained
from jvae.cli.sheet import beside
from jvae.data.faces import find_faces
from jvae.latent import grids, trajectories


def main(
    trained: Trained,
    a: str,
    b: str,
    c: str,
    grid: Grid = Grid(),
    motion: Motion = Motion(),
    figure: Figure = Figure(),
) -> None:
    """Draws an analogy: a is to b as c is to c + (b - a). These are the corners; beside them are the originals.

    The movie shows the way from a to b beside that from c to the answer.

    Args:
      a: face at the top left: an image_id of the store, or an image file.
      b: face at the top right, likewise.
      c: face at the bottom left, likewise.
    """
    grid.check(2)
    out = figure.path(trained, "analogy")
    motion.check(of_a_grid=True)
    model, store = trained.open()
    faces = find_faces(store, [a, b, c], model.crop)
    z = model.encode(faces.images)
    diagram = grids.j_diagram(*z, rows=grid.rows, columns=grid.columns, trajectory=motion.trajectory)
    names = faces.names
    figure.save(
        out,
        beside(faces.images, model.decode(diagram)),
        columns=["original", *[""] * grid.columns, "original"],
        title=f"{names[0]} is to {names[1]} as {names[2]} is to the lower right ({motion.trajectory})",
        breaks=(1, grid.columns + 1),
    )
    if motion.movie:
        starts, ends = diagram[[0, -1], 0], diagram[[0, -1], -1]
        both = trajectories.morph(starts, ends, motion.count, motion.trajectory, model, motion.by(model))
        motion.save(np.concatenate(list(both), axis=2))
