"""What bfloat16 costs in quality, and what it gives in speed: `celeba64` trained in both, scored in the same way.

    python -m benchmarks.bench_precision --path data/celeba64

The same steps on the same images in the same order, one seed; the objective is bench_recipe.py's, on the test split.
"""

from pathlib import Path

from benchmarks import table, timing
from benchmarks.bench_recipe import our_curve
from jvae.cli.run import run
from jvae.data.packed import PackedStore
from jvae.training.presets import preset


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
    cfg = preset("celeba64").replace(epochs=epochs)
    ends = {}
    for dtype in ("float32", "bfloat16"):
        ends[dtype] = [point for point, _ in our_curve(cfg.replace(dtype=dtype), store, 1)][-1]
    images = cfg.loop.total_steps(len(store.indices("train"))) * cfg.loop.batch_size
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
            n=1,
        ),
        timing.row(
            "precision",
            "celeba64 in bfloat16, training",
            "images/s",
            images / ours.seconds,
            peer_name="float32",
            peer=images / peer.seconds,
            n=1,
        ),
    ]
    timing.write(rows)
    print(table.text(rows))


if __name__ == "__main__":
    run(main)
