"""`jvae morph`: one face into another, or each of several into the next."""

import numpy as np

from jvae.cli.annotated import Many
from jvae.cli.flags import Figure, Motion, Trained
from jvae.data.faces import find_faces
from jvae.errors import InputError
from jvae.latent import trajectories


def main(
    trained: Trained,
    start: str,
    end: str,
    through: Many[str] = (),
    steps: int = 10,
    motion: Motion = Motion(),
    figure: Figure = Figure(),
) -> None:
    """Morphs one face into another, or goes round through several: a row for each leg, with the originals at its ends.

    Args:
      start: first face: an image_id of the store, or an image file.
      end: last face, likewise.
      through: faces to pass between start and end; the way then goes on from end back to start, as a loop.
      steps: number of faces on the way, both ends included.
    """
    if steps < 2:
        raise InputError(f"steps={steps} must be at least 2: the two ends are steps")
    out = figure.path(trained, "morph")
    motion.check()
    model, store = trained.open()
    faces = find_faces(store, [start, *through, end], model.crop)
    z = model.encode(faces.images)
    legs = len(z) if through else 1
    after = np.roll(np.arange(len(z)), -1)[:legs]
    tiles = trajectories.morph(z[:legs], z[after], steps, motion.trajectory, model, motion.by(model))
    first, last = ("from", "to") if through else faces.names
    names = [*faces.names, faces.names[0]] if through else faces.names
    figure.save(
        out,
        np.concatenate([faces.images[:legs, None], tiles, faces.images[after, None]], axis=1),
        rows=faces.names if through else None,
        columns=[first, *(f"{100 * i / (steps - 1):.0f}%" for i in range(steps)), last],
        title=f"{' to '.join(names)} ({motion.trajectory}{', even' if motion.even else ''})",
        breaks=(1, steps + 1),
    )
    if motion.movie and through:
        tour = trajectories.loop(z, motion.count, motion.trajectory, model, motion.by(model))
        motion.save(tour, hold=60, there_and_back=False)
    elif motion.movie:
        motion.save(trajectories.morph(z[0], z[1], motion.count, motion.trajectory, model, motion.by(model)))
