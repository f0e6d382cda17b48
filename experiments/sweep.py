"""A sweep: three weights of the KL by two seeds, six models in one compiled program, and what the weight does.

    python experiments/sweep.py

On rendered faces, packed on the way. Expect a table in which the squared error rises and the KL falls with beta, and
the two seeds of a beta differ by less than neighbouring betas. The same command again resumes.
"""

from pathlib import Path

from jvae.cli import pack, sweep
from jvae.cli.run import run
from jvae.data.sources.rendered import RenderedFaces
from jvae.training.presets import preset

VARIED = ("beta=0.25,1,4", "seed=0,1")


def main(data: Path = Path("runs/demo-faces"), out: Path = Path("runs/sweep"), steps: int = 1000) -> None:
    """Trains a model for each weight of the KL and each seed.

    Args:
      data: packed store of faces; where there is none, rendered faces are packed there.
      out: directory of the sweep, a run directory a model in it.
      steps: number of training steps of each model.
    """
    if not data.exists():
        pack.pack_source(RenderedFaces(size=64), out=data)
    sweep.main(preset("demo").replace(steps=steps), data, out, vary=VARIED)


if __name__ == "__main__":
    run(main)
