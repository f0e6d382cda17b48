"""`jvae sample`: new faces, from the prior or from where the latents of faces lie."""

from pathlib import Path
from typing import Literal

from jvae.cli.annotated import Maybe
from jvae.cli.flags import Figure, Grid, Run, Vectors
from jvae.data.faces import open_store
from jvae.errors import InputError
from jvae.latent import priors
from jvae.trained import vectors_file

TITLES = {
    "normal": "the prior",
    "aggregate": "the normal distribution of all latents",
    "mixture": "a mixture fitted to the latents",
}


def main(
    run: Run,
    prior: Maybe[Literal["normal", "aggregate", "mixture"]] = None,
    data: Maybe[Path] = None,
    components: Maybe[int] = None,
    temperature: float = 1.0,
    seed: int = 0,
    grid: Grid = Grid(4, 8),
    figure: Figure = Figure(),
) -> None:
    """Draws new faces from the prior, or from a distribution fitted to the latents of faces.

    Args:
      prior: distribution to draw from: the standard normal, towards which the run was trained (normal); the normal
        distribution with the mean and covariance of the latents behind vectors.npz (aggregate); or a mixture of normal
        distributions fitted to the latents of --data (mixture). Their samples are the nearer to photographs the later
        they come here (default: the last for which there is what it takes).
      data: packed store to whose training split a mixture is fitted.
      components: number of normal distributions in a mixture (default: 10).
      temperature: factor by which the latents' standard deviation is multiplied; below 1 the faces are plainer and
        cleaner.
      seed: seed of the draw.
    """
    grid.check(1)
    priors.check_draw(temperature, seed)
    if (data is None and prior == "mixture") or (data is not None and prior not in (None, "mixture")):
        raise InputError("--prior mixture and --data go together: the mixture is fitted to the faces of a store")
    if components is not None and data is None:
        raise InputError(
            f"--components {components} is of a mixture, which is fitted to the faces of a store: give --data"
        )
    if prior is None:
        summed = vectors_file(run.run).is_file()
        prior = "mixture" if data is not None else "aggregate" if summed else "normal"
    out = figure.path(run, "samples")
    model = run.load()
    if data is not None:
        store = open_store(data, model.image_size, model.data)
        distribution = priors.mixture_of_faces(
            model, store, priors.COMPONENTS if components is None else components, seed=seed
        )
    elif prior == "aggregate":
        distribution = priors.aggregate(Vectors().load(run, model).totals)
    else:
        distribution = priors.standard_normal(model.latent_dim)
    z = distribution.sample(grid.rows * grid.columns, temperature=temperature, seed=seed)
    title = f"Samples from {TITLES[prior]}" + (f" at temperature {temperature:g}" if temperature != 1 else "")
    figure.save(out, model.decode(z.reshape(grid.rows, grid.columns, -1)), title=title)
