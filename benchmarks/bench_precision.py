"""What bfloat16 costs in quality, and what it gives in speed: `celeba64` trained in both, scored in the same way.

    python -m benchmarks.bench_precision --path data/celeba64

The same steps on the same images in the same order; the objective is that of bench_recipe.py, on the test split.
"""

from pathlib import Path

from benchmarks import table, timing
from benchmarks.bench_recipe import our_curve
from jvae import cli
from jvae.config import preset
from jvae.data.packed import PackedStore


def main(path: Path | None = None, quick: bool = False, epochs: float = 2) -> None:
    """Trains `celeba64` in float32 and in bfloat16 and compares test objective and speed.

    Args:
      path: a packed store of 64x64 images, with its splits.
      quick: do nothing: it takes minutes on two cores.
      epochs: of each run.
    """
    if quick or path is None:
        print("precision: not measured: give --path, a packed store of 64x64 images")
        return
    store = PackedStore.open(path)
    ends = {}
    for dtype in ("float32", "bfloat16"):
        cfg = preset("celeba64").replace(dtype=dtype, epochs=epochs)
        ends[dtype] = [point for point, _ in our_curve(cfg, store, 1)][-1]
    images = epochs * len(store.indices("train"))
    ours, peer = ends["bfloat16"], ends["float32"]
    rows = [
        timing.row(
            "precision",
            f"celeba64 in bfloat16, test objective after {epochs:g} epochs",
            "nats",
            ours.objective,
            peer_name="float32",
            peer=peer.objective,
            higher_is_better=False,
        ),
        timing.row(
            "precision",
            "celeba64 in bfloat16, training",
            "images/s",
            images / ours.seconds,
            peer_name="float32",
            peer=images / peer.seconds,
        ),
    ]
    timing.write(rows)
    print(table.text(rows))


if __name__ == "__main__":
    cli.run(main)
