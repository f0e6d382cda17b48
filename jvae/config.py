"""What a run is: frozen, checked dataclasses, one for each thing that is chosen. Imports no jax.

A setting is one field here, or in the config of a model (`jvae/models`) or of an objective (`jvae/training/tasks`): its
description is the flag's help, its check stands in `__post_init__`, and nothing else has to know it.
"""

import dataclasses
import math
import typing
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from jvae.errors import InputError, InputWarning, unknown

MOST = 2**31 - 1  # the largest of JAX's integers


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of every config: lists become tuples and NumPy's numbers Python's, so that equal settings are equal."""

    def __post_init__(self) -> None:
        """Checks every value; raises `InputError` naming the first that breaks its rule."""
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value, hint = plain(getattr(self, field.name)), hints[field.name]
            object.__setattr__(self, field.name, value)
            if not fits(value, hint):
                raise InputError(f"{field.name}={value!r}: must be {getattr(hint, '__name__', hint)}")
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, int) and abs(number) > MOST:
                    raise InputError(f"{field.name}={number}: must be at most {MOST}")

    def replace(self, **changes: Any) -> Self:
        """These settings with `changes`, checked anew."""
        return dataclasses.replace(self, **changes)

    def check_positive(self, *names: str) -> None:
        """Raises `InputError` unless each of these fields is a finite number above 0, or None."""
        for name in names:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"{name}={value}: must be a finite number above 0")

    def check_at_least(self, least: float, *names: str) -> None:
        """Raises `InputError` unless each of these fields is a finite number and at least `least`, or None."""
        for name in names:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= least):
                raise InputError(f"{name}={value}: must be at least {least:g}")

    def check_share(self, *names: str) -> None:
        """Raises `InputError` unless each of these fields lies in [0, 1)."""
        for name in names:
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)}: must lie in [0, 1)")

    def check_choice(self, name: str, known: Sequence[str]) -> None:
        """Raises `InputError` unless this field is one of `known`."""
        if getattr(self, name) not in known:
            raise unknown(name, str(getattr(self, name)), known)


def plain(value: Any) -> Any:
    """A list or an array as a tuple, a NumPy number as Python's, anything else as it is."""
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    return plain(value.tolist()) if hasattr(value, "tolist") else value


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated type. A whole number is a float too; True is no number."""
    args, origin = typing.get_args(hint), typing.get_origin(hint)
    if origin is tuple:
        return isinstance(value, tuple) and all(fits(item, args[0]) for item in value)
    if origin is Literal:
        return isinstance(value, str)  # which of them, `check_choice` says
    if args:
        return any(fits(value, each) for each in args)
    if hint in (int, float):
        return isinstance(value, int | hint) and not isinstance(value, bool)
    return isinstance(value, hint) if hint in (bool, str, type(None)) else True


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Settings):
    """Base of a network's config. A subclass has the network's own settings and `module`, which makes it.

    What a model of faces must do is in `jvae.models.model.Model`.

    Attributes:
      image_size: height and width of the images in pixels; training takes it from the store.
    """

    closed_form: ClassVar[bool] = False  # whether `solve` gives the variables
    image_size: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_at_least(1, "image_size")

    def module(self, dtype: Any) -> Any:
        """The linen module of these settings, its matrix work in `dtype`."""
        raise TypeError(f"{type(self).__name__} has no module")

    def solve(self, images: Any, rows: Any, mesh: Any, *, r_loss_factor: float) -> Any:
        """The network's variables at the optimum of the VAE's objective, for a model that has it in closed form.

        Args:
          images: uint8 [n,h,w,3].
          rows: int [m], rows of the images to learn from.
          mesh: devices to work on.
          r_loss_factor: weight of the squared error beside the KL.

        """
        raise TypeError(f"{type(self).__name__} has no closed form")

    def begin(self, images: Any, rows: Any, mesh: Any, *, r_loss_factor: float) -> Any:
        """Variables that come of the data before the first step, none of most models; the arguments of `solve`."""
        return {}


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig(Settings):
    """Base of an objective's config. A subclass has its own settings, and `task`, which makes a `Task` of them."""

    alternatives: ClassVar[tuple[str, ...]] = ()  # settings of which one is given, and takes the place of the others

    def labels(self, store: Any) -> tuple[str, ...]:
        """The attributes of `store` that a batch must carry beside its images; none unless a subclass says so."""
        return ()

    def weight(self, image_size: int) -> float:
        """Weight of the squared error beside the KL by which a trained model is scored; the book's, 10,000, unless a
        subclass says another.

        Args:
          image_size: height and width in pixels.
        """
        return 10_000.0

    def task(self, model: Any, labels: tuple[str, ...], dtype: Any) -> Any:
        """The `jvae.training.task.Task` of these settings.

        Args:
          model: settings of the network.
          labels: attributes that `labels` gave.
          dtype: dtype of the matrix work.
        """
        raise TypeError(f"{type(self).__name__} has no task")


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig(Settings):
    """The optimiser and its schedule.

    Attributes:
      name: "adam" (Kingma and Ba 2015; with decay AdamW, Loshchilov and Hutter 2019), or "muon", which makes the steps
        of matrices and kernels orthogonal (Jordan et al. 2024) and leaves the rest to Adam. What suits one as a
        learning rate suits the other.
      learning_rate: learning rate at its peak.
      schedule: course of the learning rate after the warm-up: "constant", or "cosine" down to 0 at the last step.
      warmup_steps: number of steps in which the learning rate rises from 0 to its peak, linearly.
      adam_epsilon: number that Adam adds to the root of the second moment, its ε (Keras uses 1e-7).
      weight_decay: share of matrices and kernels that is taken off each step, times the learning rate.
      ema_decay: share of the variables' moving average that is kept each step, in [0, 1), and at step t no more than
        (1 + t) / (10 + t). A model is loaded with the average; 0 keeps none.
    """

    name: Literal["adam", "muon"] = "adam"
    learning_rate: float = 5e-4
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0
    adam_epsilon: float = 1e-7
    weight_decay: float = 0.0
    ema_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_positive("learning_rate", "adam_epsilon")
        self.check_at_least(0, "warmup_steps", "weight_decay")
        self.check_share("ema_decay")
        self.check_choice("schedule", ("constant", "cosine"))
        self.check_choice("name", ("adam", "muon"))

    def warn_unless_over(self, total: int) -> None:
        """Warns where the warm-up takes all of a run of `total` steps, or more."""
        if self.warmup_steps >= total > 1:
            highest = self.learning_rate * (total - 1) / self.warmup_steps
            warnings.warn(
                f"warmup_steps={self.warmup_steps} and the run has {total} steps: the learning rate rises to its end, "
                f"to {highest:.2g} of {self.learning_rate:g}; train longer, or give --optimizer.warmup-steps",
                InputWarning,
                stacklevel=3,
            )


@dataclass(frozen=True, kw_only=True)
class LoopConfig(Settings):
    """How long training goes on, and what of it happens at once.

    Attributes:
      batch_size: number of images in a step, over all devices.
      epochs: number of passes over the training split, unless `steps` is given.
      steps: number of optimiser steps in all; None counts in epochs.
      eval_every: number of steps between validations, each with a checkpoint and a picture; each waits for the end of
        the chunk that it falls in, so give a multiple of chunk_steps.
      chunk_steps: number of steps in one call of the compiled loop, a chunk. Validations come between chunks; what is
        learnt does not depend on it.
      dtype: dtype of the matrix work: "auto" is bfloat16 on accelerators and float32 on a CPU, where bfloat16 runs too,
        but gains nothing without instructions for it.
      residency: where the training images are: "resident" keeps them on the device, "streamed" uploads them chunk by
        chunk, "auto" is resident when they fit. What is decoded on the way is streamed: with "auto" each image is
        decoded once and kept where all fit in half of the machine's free memory and threads decode; with "streamed",
        or by --workers, each time anew.
    """

    batch_size: int = 32
    epochs: float = 200.0
    steps: int | None = None
    eval_every: int = 1000
    chunk_steps: int = 50
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    residency: Literal["auto", "resident", "streamed"] = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_positive("epochs")
        self.check_at_least(1, "batch_size", "eval_every", "chunk_steps")
        if self.steps is not None and self.steps < 1:
            raise InputError(f"steps={self.steps}: must be at least 1, or left out to count in epochs")
        self.check_choice("dtype", ("auto", "float32", "bfloat16"))
        self.check_choice("residency", ("auto", "resident", "streamed"))

    def total_steps(self, train_images: int) -> int:
        """Optimiser steps of the whole run over `train_images` images: `steps`, or `epochs` in whole batches.

        Raises:
          InputError: they are more than an int32 counts.
        """
        if self.steps is not None:
            return self.steps
        total = max(1, round(self.epochs * (train_images // self.batch_size)))
        if total > MOST:
            raise InputError(f"epochs={self.epochs:g} are {total} steps: must be at most {MOST}, give fewer epochs")
        return total


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """A run: the network, what it is trained for, by which optimiser, and for how long.

    Attributes:
      model: the network's settings; see `jvae.models.registry`.
      objective: the settings of what is minimised; see `jvae.training.tasks`.
      optimizer: the optimiser's settings.
      loop: settings of the training loop.
      seed: seed of everything random in the run.
      preset: name of the preset that this config started from.
    """

    model: Any  # a ModelConfig, and
    objective: Any  # an ObjectiveConfig, whose own settings depend on which it is
    optimizer: OptimizerConfig = OptimizerConfig()
    loop: LoopConfig = LoopConfig()
    seed: int = 0
    preset: str = "custom"

    def __post_init__(self) -> None:
        super().__post_init__()
        parts = (ModelConfig, ObjectiveConfig, OptimizerConfig, LoopConfig)
        for name, kind in zip(("model", "objective", "optimizer", "loop"), parts, strict=True):
            if not isinstance(value := getattr(self, name), kind):
                raise InputError(f"{name}={value!r}: must be a {kind.__name__}, such as that of a preset")
        check_seed(self.seed)

    def replace(self, **changes: Any) -> "Config":
        """This config with `changes`, by the name of a part or of any setting of a part: `replace(latent_dim=64)`.

        Raises:
          InputError: no part has a setting of that name, or a value breaks its rule.
        """
        own = {field.name for field in dataclasses.fields(self)}
        whole = dataclasses.replace(self, **{name: changes.pop(name) for name in own & changes.keys()})
        by_part: dict[str, dict[str, Any]] = {}
        for name, value in changes.items():
            by_part.setdefault(whole.part_of(name), {})[name] = value
        parts = {part: getattr(whole, part).replace(**values) for part, values in by_part.items()}
        return dataclasses.replace(whole, **parts)

    def part_of(self, name: str) -> str:
        """The part that has the setting `name`: "model", "objective", "optimizer" or "loop".

        Raises:
          InputError: none has it; the nearest names are given.
        """
        known = {f.name: part for part in PARTS for f in dataclasses.fields(getattr(self, part))}
        if name not in known:
            raise unknown("setting", name, tuple(known))
        return known[name]


def check_seed(seed: int) -> int:
    """A seed as it is; raises `InputError` unless it fits the 32 bits that draws depend on."""
    if not 0 <= seed < 2**32:
        raise InputError(f"seed={seed} must lie between 0 and {2**32 - 1}")
    return seed


PARTS = ("loop", "optimizer", "objective", "model")  # where two have a setting of one name, the later one is meant
