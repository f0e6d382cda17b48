"""Morphs one face into another, or each of several into the next.

    python experiments/morph.py --run runs/y --data data/x --start 000238.jpg --end 000193.jpg --movie morph.gif

writes runs/y/figures/morph.png: original, the way from exactly the first to exactly the second, original.
With --through 000001.jpg 000002.jpg the way is a loop by way of those: a row from each face to the next one.
"""

from pathlib import Path
from typing import Literal

import numpy as np

import jvae
from jvae import cli
from jvae.data.faces import find_faces, open_store
from jvae.errors import InputError
from jvae.render.figure import check_suffix, labelled, save_png
from jvae.render.grid import render_grid, split_grid
from jvae.render.movie import check_movie, save_movie


def main(
    run: Path,
    data: Path,
    start: str,
    end: str,
    through: tuple[str, ...] = (),
    steps: int = 10,
    path: Literal["lerp", "slerp", "gaussian"] = "lerp",
    even: bool = False,
    out: Path | None = None,
    raw: bool = False,
    movie: Path | None = None,
    frames: int = 30,
) -> None:
    """Morphs one face into another, or goes round through several: a row from each to the next, originals at its ends.

    Args:
      run: directory of the trained run.
      data: packed store.
      start: image_id of the store, or an image file.
      end: likewise.
      through: faces between start and end; with them the way goes on from end back to start, as a loop.
      steps: faces on the way, both ends included.
      path: straight (lerp), turning (slerp), or straight in the normal's probabilities (gaussian).
      even: space the steps so that the picture changes at an even speed.
      out: PNG to write (default: figures/morph.png in the run).
      raw: bare tiles without labels.
      movie: animation to write too, .gif or .mp4 (which needs the extra video).
      frames: of the animation, from a face to the next.
    """
    if steps < 2 or frames < 2:
        raise InputError(f"steps={steps} and frames={frames} must be at least 2: the two ends are steps")
    out = out or run / "figures" / "morph.png"
    check_suffix(out, ".png")
    if movie is not None:
        check_movie(movie)
    model = jvae.load(run)
    store = open_store(data, model.image_size)
    faces = find_faces(store, [start, *through, end])
    z = model.encode(faces.images)
    by = model if even else None
    legs = len(z) if through else 1
    after = np.roll(np.arange(len(z)), -1)[:legs]
    ways = jvae.morph(z[:legs], z[after], steps, path, even=by)  # [legs,steps,d]
    left, right = faces.images[:legs], faces.images[after]
    picture = render_grid(model.decode_fn, model.variables, ways, left=left, right=right)
    if not raw:
        parts = [f"{100 * i / (steps - 1):.0f}%" for i in range(steps)]
        first, last = ("from", "to") if through else faces.names
        names = [*faces.names, faces.names[0]] if through else faces.names
        picture = labelled(
            split_grid(picture, legs, steps + 2),
            rows=faces.names if through else None,
            columns=[first, *parts, last],
            title=f"{' to '.join(names)} ({path}{', even' if even else ''})",
            breaks=(1, steps + 1),
        )
    save_png(out, picture)
    print(f"wrote {out}")
    if movie is None:
        return
    if through:
        save_movie(movie, jvae.loop(z, frames, path, model, by), hold=60, there_and_back=False)
    else:
        save_movie(movie, jvae.morph(z[0], z[1], frames, path, model, by))
    print(f"wrote {movie}")


if __name__ == "__main__":
    cli.run(main)
