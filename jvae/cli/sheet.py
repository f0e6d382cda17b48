"""`jvae sheet`: what lies between four faces."""

import numpy as np

from jvae.cli.flags import Figure, Grid, Motion, Trained
from jvae.data.faces import find_faces
from jvae.latent import grids, trajectories


def main(
    trained: Trained,
    faces: tuple[str, str, str, str],
    grid: Grid = Grid(),
    motion: Motion = Motion(),
    figure: Figure = Figure(),
) -> None:
    """Draws what lies between four faces. The faces are the corners; beside them are the originals.

    The movie goes once round the edges.

    Args:
      faces: four faces, each an image_id of the store or an image file: top left, top right, bottom left, bottom right.
    """
    grid.check(2)
    out = figure.path(trained, "sheet")
    motion.check(of_a_grid=True)
    model, store = trained.open()
    found = find_faces(store, faces, model.crop)
    z = model.encode(found.images)
    names = found.names
    figure.save(
        out,
        beside(found.images, grids.between_four(z, grid.rows, grid.columns, motion.trajectory, model)),
        columns=["original", *[""] * grid.columns, "original"],
        title=f"{names[0]}, {names[1]} over {names[2]}, {names[3]} ({motion.trajectory})",
        breaks=(1, grid.columns + 1),
    )
    if motion.movie:
        tour = trajectories.loop(z[[0, 1, 3, 2]], motion.count, motion.trajectory, model, motion.by(model))
        motion.save(tour, hold=60, there_and_back=False)


def beside(originals: np.ndarray, tiles: np.ndarray) -> np.ndarray:
    """Tiles [r,c,h,w,3] with up to four originals [k,h,w,3] outside of their corners, white between: [r,c+2,h,w,3]."""
    rows, columns, *shape = tiles.shape
    out = np.full((rows, columns + 2, *shape), 255, np.uint8)
    out[:, 1:-1] = tiles
    for original, corner in zip(originals, ((0, 0), (0, -1), (-1, 0), (-1, -1)), strict=False):
        out[corner] = original
    return out
