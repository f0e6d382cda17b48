"""Trains many models at once: every combination of seeds, learning rates and loss weights, in one compiled program.

    python experiments/sweep.py --data data/x --out runs/sweep --seeds 0 1 2 3 --learning-rates 5e-4 1e-3 --betas 1 4

writes a run directory a model, such as runs/sweep/seed=0,learning_rate=0.001,beta=4, and runs/sweep/sweep.json. The
same command again resumes.
"""

from pathlib import Path
from typing import Literal

from jvae import cli, config
from jvae.data.packed import PackedStore
from jvae.training.stop import StopRequest
from jvae.training.sweep import sweep
from jvae.training.variants import grid, table


def main(
    data: Path,
    out: Path,
    preset: str = "celeba64",
    seeds: tuple[int, ...] = (),
    learning_rates: tuple[float, ...] = (),
    betas: tuple[float, ...] = (),
    r_loss_factors: tuple[float, ...] = (),
    sigmas: tuple[float, ...] = (),
    shared_batches: bool = False,
    steps: int | None = None,
    epochs: float | None = None,
    batch_size: int | None = None,
    widths: tuple[int, ...] | None = None,
    latent_dim: int | None = None,
    dropout: float | None = None,
    schedule: Literal["constant", "cosine"] | None = None,
    warmup_steps: int | None = None,
    ema_decay: float | None = None,
    eval_every: int | None = None,
    chunk_steps: int | None = None,
    dtype: Literal["auto", "float32", "bfloat16"] | None = None,
) -> None:
    """Trains many models at once. The same command again resumes.

    Args:
      data: packed store.
      out: directory of the sweep; each model gets a run directory in it.
      preset: book, celeba64 or demo; the flags below replace its values.
      seeds: one model each; with the values below, every combination.
      learning_rates: of Adam, at their peak.
      betas: weights of the KL beside half the summed squared error.
      r_loss_factors: the same weight, as that of the mean squared error beside the KL.
      sigmas: the same weight, as the pixel noise.
      shared_batches: all models see the same batches, instead of each the order of its own seed.
      steps: optimiser steps in all, instead of epochs.
      epochs: passes over the training split.
      batch_size: images a step, for each model.
      widths: channels of the stride-2 convolutions.
      latent_dim: length of z.
      dropout: rate after every hidden convolution.
      schedule: constant, or cosine to 0.
      warmup_steps: of the learning rate.
      ema_decay: of the moving average of the variables that inference takes; 0 takes the last step's.
      eval_every: steps between validations, each with a checkpoint.
      chunk_steps: steps a call of the compiled loop.
      dtype: of the matrix work.
    """
    flags = dict(locals())
    shared = ("steps", "epochs", "batch_size", "widths", "latent_dim", "dropout", "schedule", "warmup_steps")
    shared += ("eval_every", "chunk_steps", "dtype")
    cfg = config.preset(preset).replace(**{name: flags[name] for name in shared if flags[name] is not None})
    configs = grid(
        cfg, seeds=seeds, learning_rates=learning_rates, beta=betas, r_loss_factor=r_loss_factors, sigma=sigmas
    )
    with StopRequest() as stop:
        outcome = sweep(
            configs, PackedStore.open(data), out, shared_batches=shared_batches, stopped=lambda: stop.signum
        )
    if outcome.signum is not None:
        print(f"stopped at step {outcome.step} of {outcome.total}; saved in {out}; the same command goes on")
        raise SystemExit(128 + outcome.signum)
    print(table(outcome.rows))
    if outcome.images_per_s is not None:
        print(f"{len(configs)} models at once: {outcome.images_per_s:.0f} models·images/s")


if __name__ == "__main__":
    cli.run(main)
