"""Trains a VAE on a packed store; the same command again resumes.

python experiments/train.py --preset celeba64 --data data/x --out runs/y
"""

from pathlib import Path
from typing import Literal

from jvae import cli, config
from jvae.data.decoded import open_data
from jvae.runtime.processes import together
from jvae.training.loop import train
from jvae.training.stop import StopRequest


@together
def main(
    data: Path,
    out: Path,
    preset: str = "celeba64",
    steps: int | None = None,
    epochs: float | None = None,
    seed: int | None = None,
    batch_size: int | None = None,
    widths: tuple[int, ...] | None = None,
    latent_dim: int | None = None,
    dropout: float | None = None,
    r_loss_factor: float | None = None,
    beta: float | None = None,
    sigma: float | None = None,
    learning_rate: float | None = None,
    schedule: Literal["constant", "cosine"] | None = None,
    warmup_steps: int | None = None,
    ema_decay: float | None = None,
    eval_every: int | None = None,
    chunk_steps: int | None = None,
    dtype: Literal["auto", "float32", "bfloat16"] | None = None,
    residency: Literal["auto", "resident", "streamed"] | None = None,
    crop: Literal["center", "squash"] | None = None,
    workers: int = 0,
) -> None:
    """Trains a VAE on a packed store, or on a TFDS data set as it is. The same command again resumes.

    Args:
      data: packed store; or the data_dir of a prepared celeb_a, whose images are decoded on the way.
      out: run directory.
      preset: book, celeba64 or demo; the flags below replace its values.
      steps: optimiser steps in all, instead of epochs.
      epochs: passes over the training split.
      seed: of everything random.
      batch_size: images a step, over all devices.
      widths: channels of the stride-2 convolutions.
      latent_dim: length of z.
      dropout: rate after every hidden convolution.
      r_loss_factor: weight of the mean squared error beside the KL.
      beta: the same weight, as that of the KL beside half the summed squared error.
      sigma: the same weight, as the pixel noise.
      learning_rate: of Adam, at its peak.
      schedule: constant, or cosine to 0.
      warmup_steps: of the learning rate.
      ema_decay: of the moving average of the variables that inference takes; 0 takes the last step's.
      eval_every: steps between validations, each with a checkpoint and a picture.
      chunk_steps: steps a call of the compiled loop.
      dtype: of the matrix work.
      residency: keep the images on the device, or upload them chunk by chunk.
      crop: of a data set that is not packed (default: squash for the preset book, center for others).
      workers: processes that decode it; 0 is threads of this one, which two cores are best served by.
    """
    flags = dict(locals())
    others = ("data", "out", "preset", "crop", "workers")
    cfg = config.preset(preset).replace(**{k: v for k, v in flags.items() if v is not None and k not in others})
    with StopRequest() as stop:
        outcome = train(cfg, open_data(data, cfg, crop, workers), out, stopped=lambda: stop.signum)
    if outcome.signum is not None:
        print(f"stopped at step {outcome.step} of {outcome.total}; saved in {out}; the same command goes on")
        raise SystemExit(128 + outcome.signum)
    print(f"{out}: step {outcome.step} of {outcome.total} done")


if __name__ == "__main__":
    cli.run(main)
