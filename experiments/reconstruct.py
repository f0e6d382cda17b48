"""Shows originals over their reconstructions, and scores the split they are from.

    python experiments/reconstruct.py --run runs/y --data data/x

writes runs/y/figures/reconstructions.png.
"""

from pathlib import Path

import numpy as np

import jvae
from jvae import cli
from jvae.data.faces import find_faces, open_store, pick_faces
from jvae.render.figure import check_suffix, labelled, save_png
from jvae.render.grid import join_grid, render_grid, split_grid
from jvae.training.validation import evaluate


def main(
    run: Path,
    data: Path,
    count: int = 10,
    images: tuple[str, ...] = (),
    split: str = "test",
    seed: int = 0,
    out: Path | None = None,
    raw: bool = False,
) -> None:
    """Shows originals over their reconstructions from posterior means.

    Args:
      run: directory of the trained run.
      data: packed store.
      count: faces to pick.
      images: image_ids of the store or image files, instead of picking.
      split: to pick from.
      seed: of the choice.
      out: PNG to write (default: figures/reconstructions.png in the run).
      raw: bare tiles without labels.
    """
    out = out or run / "figures" / "reconstructions.png"
    check_suffix(out, ".png")
    model = jvae.load(run)
    store = open_store(data, model.image_size)
    faces = find_faces(store, images) if images else pick_faces(store, count, split=split, seed=seed)
    n = len(faces.images)
    recon = split_grid(render_grid(model.decode_fn, model.variables, model.encode(faces.images)[None]), 1, n)
    tiles = np.concatenate([faces.images[None], recon])  # [2,n,h,w,3]
    if raw:
        picture = join_grid(tiles)
    else:
        picture = labelled(tiles, rows=["original", "decoded"], columns=faces.names, title="Reconstructions")
    save_png(out, picture)
    print(f"wrote {out}")
    rows = store.indices(split)
    with store.verified(rows):
        scores = evaluate(
            model.encode_fn, model.decode_fn, model.variables, model.config, store.images, rows, mesh=model.mesh
        )
    print(
        f"{scores.n:,} images of {split}: squared error {scores.error:.4f} (mean over pixels, values in [0, 1], from "
        f"posterior means), {scores.psnr:.1f} dB; KL {scores.kl:.1f} nats; {scores.bits_per_dim:.3f} bits/dim; "
        f"the book's objective {scores.book_objective:.1f}"
    )


if __name__ == "__main__":
    cli.run(main)
