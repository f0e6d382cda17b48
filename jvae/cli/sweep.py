"""`jvae sweep`: every combination of some settings, in one compiled program."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jvae.cli.annotated import Many
from jvae.cli.settings import chosen, with_settings
from jvae.cli.train import leave_if_stopped
from jvae.config import Config
from jvae.errors import InputError
from jvae.training.presets import PRESETS
from jvae.training.rows import sweep_table
from jvae.training.stop import StopRequest
from jvae.training.sweep import grid, sweep

WORDS = tuple(PRESETS)


def choose(words: list[str]) -> tuple[Callable[..., Any], list[str]]:
    """The function that sweeps over settings of the preset of the first word."""
    if words[:1] in (["-h"], ["--help"]):
        words = ["celeba64", *words]
    cfg, rest = chosen(words)
    return with_settings(main, cfg), rest


def main(cfg: Config, data: Path, out: Path, vary: Many[str] = (), shared_batches: bool = False) -> None:
    """Trains many models at once, in one compiled program. The same command again resumes.

    The first word is a preset; the flags below replace its settings for all models.

    Args:
      data: packed store.
      out: directory to write; each model gets a run directory in it.
      vary: settings that differ, each with its values: seed=0,1,2 learning_rate=5e-4,1e-3 beta=1,4. Every combination
        is trained. Seeds, learning rates and weights of the objective may differ.
      shared_batches: show all models the same batches, instead of each the order of its own seed.
    """
    varied: dict[str, list[Any]] = {}
    for name, values in map(_values, vary):
        if name in varied:
            raise InputError(f"--vary gives {name} twice: give it once, with all of its values, such as {name}=1,2")
        varied[name] = values
    configs = grid(cfg, **varied)
    with StopRequest() as stop:
        swept = sweep(configs, data, out, shared_batches=shared_batches, stopped=lambda: stop.signum)
    leave_if_stopped(swept, out)
    print(sweep_table(swept.rows))
    if swept.images_per_s is not None:
        print(f"{len(configs)} models at once: {swept.images_per_s:.0f} models·images/s")


def _values(text: str) -> tuple[str, list[Any]]:
    """The name and the values of "learning_rate=5e-4,1e-3"."""
    name, equals, values = text.partition("=")
    if not equals or not all(values.split(",")):
        raise InputError(f"--vary {text}: give a setting and its values, such as seed=0,1,2")
    return name.replace("-", "_"), [_number(value) for value in values.split(",")]


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
