"""Draws what lies between four faces.

    python experiments/sheet.py --run runs/y --data data/x --faces 000238.jpg 000193.jpg 000001.jpg 000002.jpg

writes runs/y/figures/sheet.png: the faces at the corners, the originals beside them.
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
    faces: tuple[str, str, str, str],
    rows: int = 7,
    columns: int = 7,
    path: Literal["lerp", "slerp", "gaussian"] = "lerp",
    out: Path | None = None,
    raw: bool = False,
    movie: Path | None = None,
    frames: int = 30,
    even: bool = False,
) -> None:
    """Draws what lies between four faces: they at the corners, the originals beside them.

    Args:
      run: directory of the trained run.
      data: packed store.
      faces: top left, top right, bottom left, bottom right; image_ids of the store or image files.
      rows: of the sheet, both edges included.
      columns: likewise.
      path: straight (lerp), turning (slerp), or straight in the normal's probabilities (gaussian).
      out: PNG to write (default: figures/sheet.png in the run).
      raw: bare tiles without labels.
      movie: animation to write too, once round the edges; .gif or .mp4 (which needs the extra video).
      frames: of the animation, from a corner to the next.
      even: space these so that the picture changes at an even speed.
    """
    if rows < 2 or columns < 2 or frames < 1:
        raise InputError(f"rows={rows} and columns={columns} must be at least 2, frames={frames} at least 1")
    out = out or run / "figures" / "sheet.png"
    check_suffix(out, ".png")
    if movie is not None:
        check_movie(movie)
    model = jvae.load(run)
    store = open_store(data, model.image_size)
    found = find_faces(store, faces)
    z = model.encode(found.images)
    left, right = (np.full((rows, *found.images.shape[1:]), 255, np.uint8) for _ in range(2))
    left[0], right[0], left[-1], right[-1] = found.images
    picture = render_grid(model.decode_fn, model.variables, jvae.sheet(z, rows, columns, path), left=left, right=right)
    if not raw:
        names, blank = found.names, [""] * columns
        picture = labelled(
            split_grid(picture, rows, columns + 2),
            columns=["original", *blank, "original"],
            title=f"{names[0]}, {names[1]} over {names[2]}, {names[3]} ({path})",
            breaks=(1, columns + 1),
        )
    save_png(out, picture)
    print(f"wrote {out}")
    if movie is not None:
        tour = jvae.loop(z[[0, 1, 3, 2]], frames, path, model, even=model if even else None)
        save_movie(movie, tour, hold=60, there_and_back=False)
        print(f"wrote {movie}")


if __name__ == "__main__":
    cli.run(main)
