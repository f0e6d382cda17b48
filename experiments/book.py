"""The blog post, step by step: sampled latents, the table of the book's early-stopped estimation, a morph, glasses.

    python experiments/book.py --run runs/celeba64 --data data/celeba64

Or without flags, on what `make demo` made. Expect the two movements to shrink from batch to batch until they stand
still, and in the run's figures/book a histogram a latent, the morph from 000238.jpg to 000193.jpg (of rendered faces,
a woman to a man), and five faces that put glasses on from left to right, in steps of unit length.
"""

from pathlib import Path

from jvae.cli import edit, morph, posterior, vectors
from jvae.cli.flags import Chart, Faces, Figure, Steps, Trained
from jvae.cli.run import run as command_line

PAIR = "000238.jpg", "000193.jpg"


def main(run: Path = Path("runs/demo"), data: Path = Path("runs/demo-faces"), label: str = "Eyeglasses") -> None:
    """Repeats the blog post on a trained run, and writes its pictures into figures/book of the run.

    Args:
      run: directory of the trained run.
      data: packed store of faces.
      label: attribute whose vector is estimated, early-stopped, and added.
    """
    trained, figures = Trained(run, data), run / "figures" / "book"
    model, store = trained.open()

    print("-- the encoder gives a sample of each face's posterior")
    first = store.indices("test")[:5]
    z = model.encode(store.read(first), latent="sample")  # [5,d]
    for name, row in zip(store.image_ids[first], z, strict=True):
        print(name, *(f"{value:+.2f}" for value in row[:8]), "...")
    posterior.main(trained, chart=Chart(figures / "posterior.png"))

    print(f"-- the {label} vector, until the means stand still")
    file = figures / f"vectors_{label}.npz"
    vectors.main(trained, stop="book", label=label, latent="sample", out=file)

    print("-- from one face to another")
    start, end = PAIR
    if not {start, end} <= set(store.image_ids):
        test, male = store.indices("test"), store.attrs[:, store.attribute("Male")]
        start, end = (store.image_ids[test[male[test] == side]][0] for side in (False, True))
    morph.main(trained, start, end, figure=Figure(figures / "morph.png"))

    print(f"-- {label} on five faces")
    steps, figure = Steps(vectors=file, unit="unit"), Figure(figures / f"{label}.png")
    edit.main(trained, label, data=data, steps=steps, faces=Faces(count=5), figure=figure)


if __name__ == "__main__":
    command_line(main)
