"""Draws an analogy: a is to b as c is to what?

    python experiments/analogy.py --run runs/y --data data/x --a 000238.jpg --b 000193.jpg --c 000001.jpg

writes runs/y/figures/analogy.png, White's J-diagram: a and b over c and c + (b - a), and what lies between.
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
    a: str,
    b: str,
    c: str,
    rows: int = 7,
    columns: int = 7,
    path: Literal["lerp", "slerp", "gaussian"] = "lerp",
    out: Path | None = None,
    raw: bool = False,
    movie: Path | None = None,
    frames: int = 30,
    even: bool = False,
) -> None:
    """Draws an analogy, a to b as c to c + (b - a): these at the corners, what lies between, the originals beside them.

    Args:
      run: directory of the trained run.
      data: packed store.
      a: top left: image_id of the store, or an image file.
      b: top right, likewise.
      c: bottom left, likewise.
      rows: of the diagram, both edges included.
      columns: likewise.
      path: straight (lerp), turning (slerp), or straight in the normal's probabilities (gaussian).
      out: PNG to write (default: figures/analogy.png in the run).
      raw: bare tiles without labels.
      movie: animation to write too, a to b beside c to the answer; .gif or .mp4 (which needs the extra video).
      frames: of the animation, one way.
      even: space these so that the pictures change at an even speed.
    """
    if rows < 2 or columns < 2 or frames < 2:
        raise InputError(f"rows={rows}, columns={columns} and frames={frames} must be at least 2")
    out = out or run / "figures" / "analogy.png"
    check_suffix(out, ".png")
    if movie is not None:
        check_movie(movie)
    model = jvae.load(run)
    store = open_store(data, model.image_size)
    faces = find_faces(store, [a, b, c])
    z = model.encode(faces.images)
    diagram = jvae.j_diagram(*z, rows=rows, columns=columns, path=path)
    left, right = (np.full((rows, *faces.images.shape[1:]), 255, np.uint8) for _ in range(2))
    left[0], right[0], left[-1] = faces.images
    picture = render_grid(model.decode_fn, model.variables, diagram, left=left, right=right)
    if not raw:
        names, blank = faces.names, [""] * columns
        picture = labelled(
            split_grid(picture, rows, columns + 2),
            columns=["original", *blank, "original"],
            title=f"{names[0]} is to {names[1]} as {names[2]} is to the lower right ({path})",
            breaks=(1, columns + 1),
        )
    save_png(out, picture)
    print(f"wrote {out}")
    if movie is not None:
        both = jvae.morph(diagram[[0, -1], 0], diagram[[0, -1], -1], frames, path, model, even=model if even else None)
        save_movie(movie, np.concatenate(list(both), axis=2))
        print(f"wrote {movie}")


if __name__ == "__main__":
    cli.run(main)
