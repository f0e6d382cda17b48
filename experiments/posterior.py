"""Compares the latents of a split with the standard normal they should follow.

python experiments/posterior.py --run runs/y --data data/x

writes runs/y/figures/posterior.png.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from jvae import cli
from jvae.data.faces import open_store, pick_faces
from jvae.errors import InputError
from jvae.render.figure import check_suffix, save_histograms
from jvae.trained import load


def main(
    run: Path,
    data: Path,
    split: str = "test",
    count: int = 10_000,
    dims: int = 50,
    latent: Literal["mean", "sample"] = "sample",
    order: Literal["index", "kl"] = "index",
    seed: int = 0,
    out: Path | None = None,
) -> None:
    """Draws histograms of the latents against the standard normal density.

    Args:
      run: directory of the trained run.
      data: packed store.
      split: train, validation or test.
      count: images at most, chosen by chance.
      dims: histograms at most.
      latent: a sample of each posterior as in the book, or its mean.
      order: the first dimensions as in the book, or those that carry most (kl).
      seed: of the choice and the samples.
      out: PNG to write (default: figures/posterior.png in the run).
    """
    if dims < 1:
        raise InputError(f"dims={dims} must be at least 1")
    out = out or run / "figures" / "posterior.png"
    check_suffix(out, ".png")
    model = load(run)
    store = open_store(data, model.image_size)
    faces = pick_faces(store, count, split=split, seed=seed)
    mean, logvar = model.posterior(faces.images)
    kl = (0.5 * (mean**2 + np.exp(logvar) - 1 - logvar)).mean(0)  # [d] nats
    noise = np.random.default_rng(seed).normal(size=mean.shape)
    z = mean + np.exp(logvar / 2) * noise if latent == "sample" else mean
    shown = (np.argsort(-kl, kind="stable") if order == "kl" else np.arange(len(kl)))[:dims]
    what = "samples of the posteriors" if latent == "sample" else "posterior means"
    save_histograms(
        out,
        z[:, shown],
        [f"{k} ({kl[k]:.2f})" for k in shown],
        title=f"{what} of {len(z):,} images, latent (KL in nats); the line is the standard normal",
    )
    print(f"KL {kl.sum():.2f} nats an image; {(kl > 0.01).sum()} of {len(kl)} latents carry more than 0.01")
    print(f"wrote {out}")


if __name__ == "__main__":
    cli.run(main)
