"""Draws new faces: latents from the standard normal, or from where the faces' own latents lie, decoded.

    python experiments/sample.py --run runs/y --prior mixture --data data/x

writes runs/y/figures/samples.png.
"""

from pathlib import Path
from typing import Literal

import jvae
from jvae import cli
from jvae.data.faces import open_store
from jvae.errors import InputError
from jvae.latent import priors
from jvae.render.figure import check_suffix, labelled, save_png
from jvae.render.grid import render_grid, split_grid
from jvae.trained import load_vectors

MOST = 10_000  # faces to which a mixture is fitted
TITLES = {
    "normal": "the prior",
    "aggregate": "the normal distribution of all latents",
    "mixture": "a mixture fitted to the latents",
}


def main(
    run: Path,
    prior: Literal["normal", "aggregate", "mixture"] = "normal",
    data: Path | None = None,
    components: int = 10,
    rows: int = 4,
    columns: int = 8,
    temperature: float = 1.0,
    seed: int = 0,
    out: Path | None = None,
    raw: bool = False,
) -> None:
    """Draws new faces from the prior, or from a distribution fitted to the latents of faces.

    Args:
      run: directory of the trained run.
      prior: normal is what the run was trained towards; aggregate is the normal distribution with the mean and
        covariance of the latents behind vectors.npz; mixture is several, fitted to the latents of --data.
      data: packed store, for a mixture: its training split.
      components: of the mixture.
      rows: of the picture.
      columns: of the picture.
      temperature: times the standard deviation of the latents; below 1 the faces are plainer and cleaner.
      seed: of the draw.
      out: PNG to write (default: figures/samples.png in the run).
      raw: bare tiles without labels.
    """
    if rows < 1 or columns < 1:
        raise InputError(f"rows={rows} and columns={columns} must be at least 1")
    if (prior == "mixture") != (data is not None):
        raise InputError("--prior mixture and --data go together: the mixture is fitted to the faces of a store")
    out = out or run / "figures" / "samples.png"
    check_suffix(out, ".png")
    model = jvae.load(run)
    if data is not None:
        store = open_store(data, model.image_size)
        latents = model.encode(store.read(store.indices("train")[:MOST]))
        distribution = priors.mixture(latents, components, seed=seed)
    elif prior == "aggregate":
        distribution = priors.aggregate(load_vectors(run, model).totals)
    else:
        distribution = priors.standard_normal(model.latent_dim)
    z = distribution.sample(rows * columns, temperature=temperature, seed=seed).reshape(rows, columns, -1)
    picture = render_grid(model.decode_fn, model.variables, z)
    if not raw:
        name = TITLES[prior]
        title = f"Samples from {name}" + (f" at temperature {temperature:g}" if temperature != 1 else "")
        picture = labelled(split_grid(picture, rows, columns), title=title)
    save_png(out, picture)
    print(f"wrote {out}")


if __name__ == "__main__":
    cli.run(main)
