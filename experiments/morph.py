"""Morphs one face into another.

    python experiments/morph.py --run runs/y --data data/x --start 000238.jpg --end 000193.jpg --gif morph.gif

writes runs/y/figures/morph.png: original, the way from exactly the first to exactly the second, original.
"""

from pathlib import Path
from typing import Literal

import jvae
from jvae import cli
from jvae.data.faces import find_faces, open_store
from jvae.render.figure import check_suffix, labelled, save_gif, save_png
from jvae.render.grid import render_grid, split_grid


def main(
    run: Path,
    data: Path,
    start: str,
    end: str,
    steps: int = 10,
    path: Literal["lerp", "slerp"] = "lerp",
    out: Path | None = None,
    raw: bool = False,
    gif: Path | None = None,
    frames: int = 30,
) -> None:
    """Morphs one face into another: the original, the way from exactly the first to exactly the second, the original.

    Args:
      run: directory of the trained run.
      data: packed store.
      start: image_id of the store, or an image file.
      end: likewise.
      steps: faces on the way, both ends included.
      path: straight (lerp) or turning (slerp).
      out: PNG to write (default: figures/morph.png in the run).
      raw: bare tiles without labels.
      gif: animation to write too.
      frames: of the animation, one way.
    """
    out = out or run / "figures" / "morph.png"
    check_suffix(out, ".png")
    if gif is not None:
        check_suffix(gif, ".gif")
    model = jvae.load(run)
    store = open_store(data, model.image_size)
    faces = find_faces(store, [start, end])
    z = model.encode(faces.images)
    way = jvae.morph(z[0], z[1], steps, path)
    picture = render_grid(model.decode_fn, model.variables, way[None], left=faces.images[:1], right=faces.images[1:])
    if not raw:
        parts = [f"{100 * i / (steps - 1):.0f}%" for i in range(steps)]
        picture = labelled(
            split_grid(picture, 1, steps + 2),
            columns=[faces.names[0], *parts, faces.names[1]],
            title=f"{faces.names[0]} to {faces.names[1]} ({path})",
            breaks=(1, steps + 1),
        )
    save_png(out, picture)
    print(f"wrote {out}")
    if gif is not None:
        save_gif(gif, jvae.morph(z[0], z[1], frames, path, model=model))
        print(f"wrote {gif}")


if __name__ == "__main__":
    cli.run(main)
