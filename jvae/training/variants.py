"""What a sweep varies, and how its models fared: configs by name in, a table out."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from jvae.config import Config
from jvae.errors import InputError

WEIGHTS = ("r_loss_factor", "beta", "sigma")


class Row(NamedTuple):
    """How one model of a sweep ended.

    Attributes:
      name: of its run directory.
      seed: its own.
      learning_rate: its peak.
      beta: its loss weight, whichever of the three forms gave it.
      step: steps done.
      validation: objective on the validation split, at its own weight, by the last state; None where it was not scored.
      test: the same on the test split.
      error: squared error of reconstructions from means, on the test split.
      kl: nats per image, on the test split.
      failed: why it ended early, or None.
    """

    name: str
    seed: int
    learning_rate: float
    beta: float
    step: int
    validation: float | None = None
    test: float | None = None
    error: float | None = None
    kl: float | None = None
    failed: str | None = None


def grid(
    cfg: Config,
    *,
    seeds: Sequence[int] = (),
    learning_rates: Sequence[float] = (),
    **weights: Sequence[float],
) -> dict[str, Config]:
    """Every combination of the values given, by a name such as "seed=0,learning_rate=0.001,beta=2".

    Args:
      cfg: of all models; gives what is not varied.
      seeds: of the models.
      learning_rates: peak rates.
      **weights: at most one of `r_loss_factor`, `beta` and `sigma`, with its values.

    Raises:
      InputError: two of the weights, or a value that `Config` refuses, or one given twice.
    """
    axes = {"seed": seeds, "learning_rate": learning_rates, **weights}
    varied = {field: values for field, values in axes.items() if len(values)}
    if len(varied.keys() & set(WEIGHTS)) > 1:
        raise InputError("a sweep varies one loss weight: give one of r_loss_factor, beta, sigma")
    for field, values in varied.items():
        if len(set(values)) < len(values):
            raise InputError(f"{field}={' '.join(f'{v:g}' for v in values)}: give each value once")
    found = {}
    for values in itertools.product(*varied.values()):
        changes = dict(zip(varied, values, strict=True))
        found[",".join(f"{field}={value:g}" for field, value in changes.items()) or "model"] = cfg.replace(**changes)
    return found


def table(rows: Sequence[Row]) -> str:
    """The rows as text, the lowest test objective first, those that failed last."""
    lines = [["model", "seed", "learning rate", "beta", "step", "validation", "test", "error", "KL"]]
    for row in sorted(rows, key=lambda row: math.inf if row.test is None else row.test):
        scores = ((row.validation, 2), (row.test, 2), (row.error, 5), (row.kl, 1))
        cells = ["-" if value is None else f"{value:.{digits}f}" for value, digits in scores]
        lines.append([row.name, f"{row.seed}", f"{row.learning_rate:g}", f"{row.beta:.4g}", f"{row.step}", *cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    first, *others = widths
    text = ["  ".join([line[0].ljust(first), *map(str.rjust, line[1:], others)]) for line in lines]
    return "\n".join([*text, *(f"{row.name}: {row.failed}" for row in rows if row.failed)])
