"""What a run is: one frozen, checked dataclass, and the presets. Imports no jax."""

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any, Literal

from jvae.errors import InputError, unknown
from jvae.io.fields import build, read_object

_MOST = 2**31 - 1  # of JAX's integers
_DEEPEST = 16  # convolutions, which halve an image of 65,536 pixels to one


@dataclass(frozen=True, kw_only=True)
class Config:
    """Model, loss, optimiser and schedule of one run.

    The weight of the reconstruction is given by exactly one of `r_loss_factor`, `beta` and `sigma`; `jvae.models.loss`
    derives the other two.

    Attributes:
      preset: the name this config started from.
      image_size: h = w in pixels, a multiple of 2 ** len(widths). `train.py` takes it from the store.
      widths: channels of the encoder's stride-2 convolutions; the decoder mirrors them and ends in 3 channels.
      latent_dim: d, the length of z.
      dropout: rate after every hidden convolution, in [0, 1); kept to a 256th.
      leaky_slope: slope of LeakyReLU below 0.
      bn_momentum: share of the running statistics kept each step.
      bn_epsilon: added to the variance before the root.
      r_loss_factor: weight of the squared error's mean over pixels and channels (the book's).
      beta: weight of the KL beside half the squared error summed over pixels and channels.
      sigma: standard deviation of the pixel noise, in units of the range [0, 1].
      learning_rate: Adam's peak rate.
      schedule: "constant", or "cosine" down to 0 at the last step.
      warmup_steps: steps of linear warm-up from 0.
      adam_epsilon: Adam's ε (Keras uses 1e-7).
      ema_decay: share of the exponential moving average of the variables kept each step, in [0, 1), at step t at most
        (1 + t) / (10 + t); the average is what a checkpoint gives to inference. 0 keeps none.
      batch_size: b, images a step over all devices.
      epochs: passes over the training split; `steps` overrides it.
      steps: optimiser steps in all.
      eval_every: steps between validations, each with a checkpoint and a reconstruction picture.
      chunk_steps: k, steps in one call of the compiled loop; results do not depend on it.
      dtype: of the matrix work; "auto" is bfloat16 on accelerators and float32 on a CPU, where bfloat16 runs too,
        and gains nothing without instructions for it.
      residency: "resident" keeps the training images on the device, "streamed" uploads them chunk by chunk;
        "auto" is resident when they fit.
      seed: of everything random in the run.
    """

    preset: str = "custom"
    image_size: int = 64
    widths: tuple[int, ...] = (32, 64, 64, 64)
    latent_dim: int = 200
    dropout: float = 0.25
    leaky_slope: float = 0.3
    bn_momentum: float = 0.99
    bn_epsilon: float = 1e-3
    r_loss_factor: float | None = None
    beta: float | None = None
    sigma: float | None = None
    learning_rate: float = 5e-4
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0
    adam_epsilon: float = 1e-7
    ema_decay: float = 0.0
    batch_size: int = 32
    epochs: float = 200.0
    steps: int | None = None
    eval_every: int = 1000
    chunk_steps: int = 50
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    residency: Literal["auto", "resident", "streamed"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks every value; raises `InputError` naming the first that breaks its rule."""
        if not 1 <= len(self.widths) <= _DEEPEST or min(self.widths) < 1:
            raise InputError(
                f"widths={self.widths}: give one positive width per convolution, {_DEEPEST} at most: 32 64 64 64"
            )
        for name, value in (*vars(self).items(), ("widths", max(self.widths))):
            if isinstance(value, int) and abs(value) > _MOST:
                raise InputError(f"{name}={value}: must be at most {_MOST}")
        stride = 2 ** len(self.widths)
        if self.image_size < stride or self.image_size % stride:
            raise InputError(
                f"image_size={self.image_size} is no multiple of {stride}, as {len(self.widths)} stride-2 layers need: "
                f"pack the store at {max(stride, round(self.image_size / stride) * stride)}"
            )
        given = [n for n in ("r_loss_factor", "beta", "sigma") if getattr(self, n) is not None]
        if len(given) != 1:
            raise InputError(f"give exactly one of r_loss_factor, beta, sigma (given: {', '.join(given) or 'none'})")
        for name in (given[0], "learning_rate", "adam_epsilon", "bn_epsilon", "epochs"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name}={value}: must be a finite number above 0")
        for name in ("latent_dim", "batch_size", "eval_every", "chunk_steps"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)}: must be at least 1")
        if self.steps is not None and self.steps < 1:
            raise InputError(f"steps={self.steps}: must be at least 1, or left out to count in epochs")
        if self.warmup_steps < 0:
            raise InputError(f"warmup_steps={self.warmup_steps}: must be 0 or more")
        if not math.isfinite(self.leaky_slope):
            raise InputError(f"leaky_slope={self.leaky_slope}: must be a finite number")
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout={self.dropout}: must lie in [0, 1)")
        for name in ("bn_momentum", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)}: must lie in [0, 1)")
        for name, known in (
            ("schedule", ("constant", "cosine")),
            ("dtype", ("auto", "float32", "bfloat16")),
            ("residency", ("auto", "resident", "streamed")),
        ):
            if getattr(self, name) not in known:
                raise unknown(name, str(getattr(self, name)), known)

    def replace(self, **changes: Any) -> "Config":
        """This config with `changes`; giving one of the three loss weights drops the one that was there."""
        weights = ("r_loss_factor", "beta", "sigma")
        if any(changes.get(name) is not None for name in weights):
            changes = dict.fromkeys(weights) | changes
        return dataclasses.replace(self, **changes)

    def total_steps(self, train_images: int) -> int:
        """Optimiser steps of the whole run over `train_images` images: `steps`, or `epochs` in whole batches.

        Raises:
          InputError: they are more than an int32 counts.
        """
        if self.steps is not None:
            return self.steps
        total = max(1, round(self.epochs * (train_images // self.batch_size)))
        if total > _MOST:
            raise InputError(f"epochs={self.epochs:g} are {total} steps: must be at most {_MOST}, give fewer epochs")
        return total

    def to_json(self) -> str:
        """One JSON object with every field."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str | bytes, name: str = "the config") -> "Config":
        """The config that `to_json` wrote. Raises `InputError` with its `name` if it is not one."""
        return build(cls, read_object(text, name), name)


# Generative Deep Learning, chapter 3: 128x128 squashed CelebA, 200 epochs, no schedule.
BOOK = Config(preset="book", image_size=128, r_loss_factor=10_000.0)

# 64x64 centre crops. Chosen by the clock (benchmarks/bench_recipe.py): narrow where the images are large, which is
# where the time goes; no dropout; a high rate that falls to 0, and an average for what is looked at before it has.
CELEBA64 = BOOK.replace(
    preset="celeba64",
    image_size=64,
    widths=(16, 32, 64, 128),
    latent_dim=128,
    dropout=0.0,
    learning_rate=3e-3,
    schedule="cosine",
    warmup_steps=200,
    ema_decay=0.99,
    epochs=20.0,
)

# Minutes on two cores, for rendered faces.
DEMO = CELEBA64.replace(
    preset="demo",
    latent_dim=64,
    r_loss_factor=50_000.0,
    learning_rate=1.5e-3,
    warmup_steps=100,
    epochs=5.0,
)

PRESETS = {cfg.preset: cfg for cfg in (BOOK, CELEBA64, DEMO)}


def preset(name: str) -> Config:
    """The preset `name`. Raises `InputError` with the nearest names if there is none."""
    if name not in PRESETS:
        raise unknown("preset", name, tuple(PRESETS))
    return PRESETS[name]
