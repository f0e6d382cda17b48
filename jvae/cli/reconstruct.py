"""`jvae reconstruct`: originals over their reconstructions, and the scores of a split."""

import numpy as np

from jvae.cli.flags import Faces, Figure, Trained


def main(trained: Trained, faces: Faces = Faces(count=10), figure: Figure = Figure()) -> None:
    """Draws originals over their reconstructions from posterior means, and scores all images of the split."""
    out = figure.path(trained, "reconstructions")
    model, store = trained.open()
    chosen = faces.choose(store, crop=model.crop)
    tiles = np.stack([chosen.images, model.decode(model.encode(chosen.images))])  # [2,n,h,w,3]
    figure.save(out, tiles, rows=["original", "decoded"], columns=chosen.names, title="Reconstructions")
    rows = store.indices(faces.split)
    with store.verified(rows):
        found = model.reconstruction_scores(store, rows)
    print(
        f"{len(rows):,} images of {faces.split}: squared error {found['error']:.4f} (mean over pixels, values in "
        f"[0, 1], from posterior means), {found['psnr']:.1f} dB; KL {found['kl']:.1f} nats; "
        f"{found['bits_per_dim']:.3f} bits/dim; the book's objective {found['book_objective']:.1f}"
    )
