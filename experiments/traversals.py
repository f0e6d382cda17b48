"""Walks along the latent dimensions that carry most.

    python experiments/traversals.py --run runs/y --data data/x

writes runs/y/figures/traversals.png: a row a dimension, from -3 to 3 standard deviations of the prior.
"""

from pathlib import Path

import numpy as np

import jvae
from jvae import cli
from jvae.data.faces import find_faces, open_store
from jvae.errors import InputError
from jvae.latent.trajectories import traversals
from jvae.render.figure import check_suffix, labelled, save_png
from jvae.render.grid import render_grid, split_grid


def main(
    run: Path,
    data: Path,
    dims: int = 12,
    steps: int = 9,
    reach: float = 3.0,
    image: str | None = None,
    split: str = "test",
    count: int = 2000,
    out: Path | None = None,
    raw: bool = False,
) -> None:
    """Walks along the latent dimensions that carry most, a row each, all others held fixed.

    Args:
      run: directory of the trained run.
      data: packed store.
      dims: rows at most.
      steps: faces in a row.
      reach: how far to go on either side of 0, in standard deviations of the prior.
      image: where to start, an image_id or an image file; by default the mean of the latents.
      split: whose latents are measured.
      count: images to measure at most.
      out: PNG to write (default: figures/traversals.png in the run).
      raw: bare tiles without labels.
    """
    if dims < 1 or steps < 2 or not reach > 0 or count < 1:
        raise InputError(
            f"dims={dims} and count={count} must be at least 1, steps={steps} at least 2, reach={reach} above 0"
        )
    out = out or run / "figures" / "traversals.png"
    check_suffix(out, ".png")
    model = jvae.load(run)
    store = open_store(data, model.image_size)
    start = None if image is None else model.encode(find_faces(store, [image]).images)[0]
    mean, logvar = model.posterior(store.read(store.indices(split)[:count]))
    kl = (0.5 * (mean**2 + np.exp(logvar) - 1 - logvar)).mean(0)  # [d] nats
    shown = np.argsort(-kl, kind="stable")[:dims]
    places = np.linspace(-reach, reach, steps)
    latents = traversals(mean.mean(0) if start is None else start, shown, places)
    picture = render_grid(model.decode_fn, model.variables, latents)
    if not raw:
        picture = labelled(
            split_grid(picture, len(shown), steps),
            rows=[f"{k} ({kl[k]:.2f} nats)" for k in shown],
            columns=[f"{place:+.2g}" if place else "0" for place in places],
            title=f"The {len(shown)} latents of {len(kl)} that carry most",
        )
    save_png(out, picture)
    used = ", ".join(f"{(kl > least).sum()} more than {least:g}" for least in (0.01, 0.1, 1))
    print(f"KL {kl.sum():.2f} nats an image over {len(kl)} latents; {used}")
    print(f"wrote {out}")


if __name__ == "__main__":
    cli.run(main)
