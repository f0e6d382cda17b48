"""`jvae traverse`: walks along the latent dimensions that carry most."""

import math

import numpy as np

from jvae.cli.annotated import Maybe
from jvae.cli.flags import Faces, Figure, Trained
from jvae.data.faces import find_faces
from jvae.errors import InputError
from jvae.latent.trajectories import traversals
from jvae.trained import mean_kl


def main(
    trained: Trained,
    dims: int = 12,
    steps: int = 9,
    reach: float = 3.0,
    start: Maybe[str] = None,
    faces: Faces = Faces(count=2000),
    figure: Figure = Figure(),
) -> None:
    """Walks along the latent dimensions that carry most, a row each, all others held fixed.

    Args:
      dims: number of dimensions to show, at most.
      steps: number of faces in a row.
      reach: distance to go on either side of 0, in standard deviations of the prior.
      start: face to start from, an image_id of the store or an image file (default: the mean of the latents).
    """
    if dims < 1 or steps < 2 or not 0 < reach < math.inf:
        raise InputError(f"dims={dims} must be at least 1, steps={steps} at least 2, reach={reach} above 0, and finite")
    out = figure.path(trained, "traversals")
    model, store = trained.open()
    mean, logvar = model.posterior(faces.choose(store, crop=model.crop).images)
    kl = mean_kl(mean, logvar)  # [d] nats
    shown = np.lexsort((-mean.var(0), -kl))[:dims]  # points have no KL: they go by how far they are spread
    values = np.linspace(-reach, reach, steps)
    z = mean.mean(0) if start is None else model.encode(find_faces(store, [start], model.crop).images)[0]
    figure.save(
        out,
        model.decode(traversals(z, shown, values)),
        rows=[f"{k} ({kl[k]:.2f} nats)" for k in shown],
        columns=[f"{value:+.2g}" if value else "0" for value in values],
        title=f"The {len(shown)} latents of {len(kl)} that carry most",
    )
    used = ", ".join(f"{(kl > least).sum()} more than {least:g}" for least in (0.01, 0.1, 1))
    print(f"KL {kl.sum():.2f} nats an image over {len(kl)} latents; {used}")
