"""Trains the judge of attributes that edits are scored by, on the images themselves.

    python experiments/train_judge.py --data data/x --out data/x-judge.npz

Minutes on two cores for 16,000 images of 64×64.
"""

from pathlib import Path

from jvae import cli
from jvae.data.packed import PackedStore
from jvae.errors import InputError
from jvae.judge.judge import MEASURES
from jvae.runtime.processes import is_main, together
from jvae.training.judge import Recipe, train_judge


@together
def main(
    data: Path,
    out: Path,
    epochs: float = Recipe.epochs,
    batch_size: int = Recipe.batch_size,
    learning_rate: float = Recipe.learning_rate,
    seed: int = Recipe.seed,
) -> None:
    """Trains a classifier of all attributes on a store's training split, and shows how well it does on the test split.

    Args:
      data: packed store with labels.
      out: .npz to write.
      epochs: passes over the training split.
      batch_size: images a step.
      learning_rate: peak of Adam's.
      seed: of everything random.
    """
    if out.suffix != ".npz":
        raise InputError(f"out={out}: the name must end in .npz")
    judge = train_judge(PackedStore.open(data), Recipe(epochs, batch_size, learning_rate, seed))
    if is_main():
        judge.save(out)
    table = judge.scores.drop(columns="n").sort_values("auc", ascending=False)
    print(table.rename_axis(None).to_string(float_format="{:.3f}".format))
    for name, reason in judge.missing.items():
        print(f"{name} is not judged: {reason}")
    print(
        f"means over {len(table)} attributes, {int(judge.scores['n'].iloc[0]):,} test images as they are and blurred:"
    )
    print(f"majority {table['majority'].mean():.3f}")
    for name in MEASURES:
        print(f"{name} {table[name].mean():.3f}, blurred {table[f'soft {name}'].mean():.3f}")
    print(f"wrote {out}")


if __name__ == "__main__":
    cli.run(main)
