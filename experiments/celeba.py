"""The whole job on CelebA, from the files downloaded by hand to a scorecard on one page.

    python experiments/celeba.py --path data/celeba

PATH holds img_align_celeba (or its zip), list_attr_celeba.txt and list_eval_partition.txt; any subset of the images
will do. Expect runs/celeba64/scorecard/page.png: hits against leakage for every kind of vector, what each edit turns
over, and the edits that land best. A second call goes on where the first one stopped.
"""

from pathlib import Path

from jvae.cli import judge, pack, reconstruct, scorecard, scores, train, vectors
from jvae.cli.flags import Trained
from jvae.cli.run import run
from jvae.data.sources.celeba import CelebAFolder
from jvae.training.presets import preset


def main(
    path: Path = Path("data/celeba"),
    out: Path = Path("runs/celeba64"),
    name: str = "celeba64",
    steps: int | None = None,
) -> None:
    """Packs CelebA, trains a model and a judge, estimates all attribute vectors, and scores the edits.

    Args:
      path: folder of CelebA's files.
      out: run directory; the store and the judge go beside it.
      name: preset to train.
      steps: number of training steps (default: those of the preset).
    """
    data, judged = out.with_name(f"{out.name}-faces"), out.with_name(f"{out.name}-judge")
    if not data.exists():
        crop = "squash" if name == "book" else "center"  # as printed in the book
        pack.pack_source(CelebAFolder(path), out=data, size=preset(name).model.image_size, crop=crop)
    train.main(preset(name).replace(steps=steps), data, out)
    trained = Trained(out, data)
    vectors.main(trained)
    reconstruct.main(trained)
    scores.main(trained)
    judge.main(preset("judge"), data, judged)
    scorecard.main(trained, judged)


if __name__ == "__main__":
    run(main)
