"""Many models at once: images a second summed over 1, 4 and 16 models of `celeba64` in one compiled program.

    python -m benchmarks.bench_sweep

Through `jvae.training.sweep`, as `jvae sweep` does it, on rendered faces; compilation, scoring and checkpoints
are not counted. On an accelerator the models take each step together (`vmap`), on a CPU one after another.
"""

import statistics
import tempfile
from pathlib import Path

import jvae
from benchmarks import table, timing
from jvae.cli.run import run
from jvae.training.presets import preset
from jvae.training.sweep import sweep


def main(quick: bool = False, rounds: int | None = None) -> None:
    """Times chunks of steps of 1, 4 and 16 models.

    Args:
      quick: 4 models alone.
      rounds: sweeps of each, of which the median counts; 3 unless told, 1 with --quick.
    """
    rounds = rounds or (1 if quick else 3)
    chunk = timing.by_platform(4, 50)
    cfg = preset("celeba64").replace(steps=4 * chunk, chunk_steps=chunk, eval_every=4 * chunk)
    found: dict[int, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = jvae.pack(jvae.RenderedFaces(1024), folder / "store", size=64, crop="center", progress=False)
        for i in range(rounds):
            for models in (4,) if quick else (1, 4, 16):
                configs = {f"seed-{seed}": cfg.replace(seed=seed) for seed in range(models)}
                outcome = sweep(configs, store, folder / f"{models}-{i}", progress=False)
                assert outcome.images_per_s is not None
                found.setdefault(models, []).append(outcome.images_per_s)
    rows = []
    for models, rates in found.items():
        median = statistics.median(rates)
        rows.append(
            timing.row(
                "sweep",
                f"celeba64 64x64 b{cfg.loop.batch_size}, {models} model{'s' if models > 1 else ''} at once",
                "models·images/s",
                median,
                peer_name="1 model" if models > 1 and 1 in found else None,
                peer=statistics.median(found[1]) if models > 1 and 1 in found else None,
                spread=(min(rates), max(rates)),
                n=rounds,
            )
        )
    timing.write(rows)
    print(table.text(rows))


if __name__ == "__main__":
    run(main)
