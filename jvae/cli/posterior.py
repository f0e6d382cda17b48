"""`jvae posterior`: the latents of faces against the standard normal they should follow."""

from typing import Literal

import numpy as np

from jvae.cli.flags import Chart, Faces, Trained
from jvae.config import check_seed
from jvae.errors import InputError
from jvae.render.charts import save_histograms
from jvae.trained import mean_kl


def main(
    trained: Trained,
    dims: int = 50,
    latent: Literal["mean", "sample"] = "sample",
    order: Literal["index", "kl"] = "index",
    faces: Faces = Faces(count=10_000),
    chart: Chart = Chart(),
) -> None:
    """Draws histograms of the latents against the standard normal density.

    Args:
      dims: number of histograms, at most.
      latent: what to count: a sample of each posterior, as in the book, or its mean.
      order: which dimensions come first: as they are numbered (index), as in the book, or those that carry most (kl).
    """
    if dims < 1:
        raise InputError(f"dims={dims} must be at least 1")
    check_seed(faces.seed)  # of the noise too, which --images draw
    out = chart.path(trained, "posterior")
    model, store = trained.open()
    mean, logvar = model.posterior(faces.choose(store, crop=model.crop).images)
    kl = mean_kl(mean, logvar)  # [d] nats
    noise = np.random.default_rng(faces.seed).normal(size=mean.shape)
    z = mean + np.exp(logvar / 2) * noise if latent == "sample" else mean
    carry = np.lexsort((-mean.var(0), -kl))  # points have no KL: they go by how far they are spread
    shown = (carry if order == "kl" else np.arange(len(kl)))[:dims]
    what = "samples of the posteriors" if latent == "sample" else "posterior means"
    save_histograms(
        out,
        z[:, shown],
        [f"{k} ({kl[k]:.2f})" for k in shown],
        title=f"{what} of {len(z):,} images, latent (KL in nats); the line is the standard normal",
    )
    print(f"KL {kl.sum():.2f} nats an image; {(kl > 0.01).sum()} of {len(kl)} latents carry more than 0.01")
    print(f"wrote {out}")
