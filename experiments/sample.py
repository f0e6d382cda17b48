"""Draws new faces: latents from the standard normal, decoded.

    python experiments/sample.py --run runs/y

writes runs/y/figures/samples.png.
"""

from pathlib import Path

import numpy as np

import jvae
from jvae import cli
from jvae.errors import InputError
from jvae.render.figure import check_suffix, labelled, save_png
from jvae.render.grid import render_grid, split_grid


def main(
    run: Path,
    rows: int = 4,
    columns: int = 8,
    temperature: float = 1.0,
    seed: int = 0,
    out: Path | None = None,
    raw: bool = False,
) -> None:
    """Draws new faces from the prior.

    Args:
      run: directory of the trained run.
      rows: of the picture.
      columns: of the picture.
      temperature: standard deviation of the latents; below 1 the faces are plainer and cleaner.
      seed: of the draw.
      out: PNG to write (default: figures/samples.png in the run).
      raw: bare tiles without labels.
    """
    if rows < 1 or columns < 1:
        raise InputError(f"rows={rows} and columns={columns} must be at least 1")
    out = out or run / "figures" / "samples.png"
    check_suffix(out, ".png")
    model = jvae.load(run)
    z = np.random.default_rng(seed).normal(0, temperature, (rows, columns, model.latent_dim)).astype(np.float32)
    picture = render_grid(model.decode_fn, model.variables, z)
    if not raw:
        title = "Samples from the prior" + (f" at temperature {temperature:g}" if temperature != 1 else "")
        picture = labelled(split_grid(picture, rows, columns), title=title)
    save_png(out, picture)
    print(f"wrote {out}")


if __name__ == "__main__":
    cli.run(main)
