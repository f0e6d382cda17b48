"""`jvae train`: a preset and its settings trained on a store."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from jvae.cli.annotated import Maybe, TrackerName
from jvae.cli.settings import chosen, with_settings
from jvae.config import Config
from jvae.data.decoded import open_data
from jvae.runtime.processes import together
from jvae.training.loop import Ending, train
from jvae.training.presets import PRESETS
from jvae.training.stop import StopRequest

WORDS = tuple(PRESETS)


def choose(words: list[str]) -> tuple[Callable[..., Any], list[str]]:
    """The function that trains the preset of the first word; see `jvae.cli.settings.chosen`."""
    if words[:1] in (["-h"], ["--help"]):
        words = ["celeba64", *words]
    cfg, rest = chosen(words)
    return with_settings(together(main), cfg), rest


def main(
    cfg: Config,
    data: Path,
    out: Path,
    crop: Maybe[Literal["center", "squash"]] = None,
    workers: int = 0,
    track: TrackerName = "none",
) -> None:
    """Trains a preset on a packed store, or on a TFDS data set as it is. The same command again resumes.

    The first word is a preset, and the flags below replace its settings. --model NAME replaces its network, and
    --objective NAME what it is trained for: jvae train celeba64 --objective supervised --data data/x --out runs/y

    Args:
      data: packed store; or the data_dir of a prepared celeb_a, whose images are decoded on the way.
      out: run directory to write.
      crop: crop of a data set that is not packed (default: squash for the preset book, center for others).
      workers: number of processes that decode such a data set; 0 decodes with threads, which serve two cores best.
      track: where the curves go beside TensorBoard: to Trackio (the extra track), or to Weights & Biases.
    """
    with StopRequest() as stop:
        ending = train(cfg, open_data(data, cfg, crop, workers), out, track=track, stopped=lambda: stop.signum)
    leave_if_stopped(ending, out)
    print(f"{out}: step {ending.step} of {ending.total} done")


def leave_if_stopped(ending: Ending | Any, out: Path) -> None:
    """Exits as the signal would have, after a line, where training was stopped by one."""
    if ending.signum is not None:
        print(f"stopped at step {ending.step} of {ending.total}; saved in {out}; the same command goes on")
        raise SystemExit(128 + ending.signum)
