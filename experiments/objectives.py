"""What is held beside the squared error, and what it brings: one network trained by several objectives, in one table.

    python experiments/objectives.py --data data/celeba64 --teacher runs/judge1 --judge runs/judge0

The preset celeba64 with 256 latents, five epochs an objective; minutes each on two cores.
Expect a row each, of test images (docs/faces.md). A second call goes on where the first one stopped.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from jvae.cli import train, vectors
from jvae.cli.flags import Trained
from jvae.cli.run import run
from jvae.evaluate.card import scorecard
from jvae.judge.judge import Judge
from jvae.trained import load_vectors
from jvae.training.log import TIMINGS, read_rows
from jvae.training.presets import preset
from jvae.training.tasks.perceptual import RANDOM, Perceptual
from jvae.training.tasks.vae import Vae

BASE = {"latent_dim": 256, "epochs": 5.0}
SHARED = {"r_loss_factor": 60_000.0, "mirror": True, "layer_weight": 60.0, "feature_weight": 5.0}


def main(data: Path, teacher: Path, judge: Path, out: Path = Path("runs/objectives")) -> None:
    """Trains a model by each objective, and scores all by one judge.

    Args:
      data: packed store of faces with labels.
      teacher: judge that the objective perceptual looks through.
      judge: another one, which scores.
      out: folder of the run directories.
    """
    rows = {}
    objectives = {
        "vae": Vae(r_loss_factor=60_000.0, mirror=True),
        "vae-sigma": Vae(sigma=0.1, mirror=True),
        "perceptual-random": Perceptual(**SHARED, judge=RANDOM, logit_weight=0.0),
        "perceptual": Perceptual(**SHARED, judge=str(teacher), logit_weight=5.0),
    }
    for name, objective in objectives.items():
        trained = Trained(out / name, data)
        train.main(preset("celeba64").replace(objective=objective, **BASE), data, trained.run)
        vectors.main(trained)
        model, store = trained.open()
        card = scorecard(model, load_vectors(trained.run, model), Judge.load(judge), store, kinds=["regression"])
        (edits,) = card.edits.values()
        hits = {f"hits at {most:.0%}": np.mean([edit.hits_at(most) for edit in edits.values()]) for most in (0.05, 0.1)}
        speed = np.median([row["images_per_s"] for row in read_rows(trained.run / TIMINGS)])
        rows[name] = {"same person": card.identity.same if card.identity else np.nan, "alike": card.agreement}
        rows[name] |= {"PSNR": card.reconstruction["psnr"], **hits, "seconds": 5 * len(store.indices("train")) / speed}
    print(pd.DataFrame.from_dict(rows, orient="index").to_string(float_format="{:.3f}".format))


if __name__ == "__main__":
    run(main)
