"""The kinds of attribute vectors compared: the same edit of the same face by each, and what each drags along.

    python experiments/edits.py --run runs/demo --data runs/demo-faces --attribute Eyeglasses

Expect figures/kinds-Eyeglasses.png in the run, a row a kind, and for each kind how well it separates the attribute and
how far it leans, as a cosine, towards the differences of other attributes: conditional not at all, regression hardly,
difference most.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from jvae.cli.flags import Faces, Figure, Trained
from jvae.cli.run import run as command_line
from jvae.latent.attribute import factor_names
from jvae.latent.kinds import Kind
from jvae.latent.trajectories import apply_vector
from jvae.trained import load_vectors

FACTORS = (-1, 0, 1, 2, 3, 4)  # standard deviations of the data along the vector


def main(run: Path = Path("runs/demo"), data: Path = Path("runs/demo-faces"), attribute: str = "Eyeglasses") -> None:
    """Edits a face by vectors of every kind, and shows how far each leans towards other attributes.

    Args:
      run: directory of the trained run, with its vectors.
      data: packed store of faces.
      attribute: attribute whose vector is added.
    """
    trained = Trained(run, data)
    model, store = trained.open()
    known = load_vectors(run, model, kind=Kind())
    others = tuple(name for name in ("Male", "Young", "Smiling") if name in known and name != attribute)
    kinds = [Kind(), Kind("regression"), Kind("lda")]
    if others:
        kinds += [Kind("balanced", balance=others[:1]), Kind("conditional", keep=others)]
    face = Faces(count=1).choose(store, without=attribute)
    z = model.encode(face.images)
    vectors = {str(kind): known.of_kind(kind)[attribute] for kind in kinds}
    tiles = [apply_vector(z, vector, FACTORS, "sd", model)[0] for vector in vectors.values()]
    figure = Figure()
    title = f"{attribute} on {face.names[0]} by every kind of vector, in standard deviations"
    out = figure.path(trained, f"kinds-{attribute}")
    figure.save(out, np.stack(tiles), rows=list(vectors), columns=factor_names(FACTORS, "sd"), title=title)
    rows = {
        kind: {"separation": v.separation, **{name: float(v.unit @ known[name].unit) for name in others}}
        for kind, v in vectors.items()
    }
    print(pd.DataFrame.from_dict(rows, orient="index").to_string(float_format="{:.3f}".format))


if __name__ == "__main__":
    command_line(main)
