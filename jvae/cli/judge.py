"""`jvae judge`: the classifier of attributes that edits are judged by, trained on the images themselves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jvae.cli.settings import chosen, with_settings
from jvae.cli.train import leave_if_stopped
from jvae.config import Config
from jvae.judge.judge import JUDGE, MEASURES, Judge
from jvae.runtime.processes import together
from jvae.training.judge import train_judge
from jvae.training.stop import StopRequest


def choose(words: list[str]) -> tuple[Callable[..., Any], list[str]]:
    """The function that trains a judge, with the settings of the preset judge as flags."""
    cfg, rest = chosen(["judge", *words])
    return with_settings(together(main), cfg), rest


def main(cfg: Config, data: Path, out: Path) -> None:
    """Trains a classifier of all attributes on a store's training split, and shows how well it does on the test split.

    The same command again resumes. The learning rate rises for the first tenth of the steps, also where
    --optimizer.warmup-steps is 0; `jvae train judge` has no warm-up but what that says.

    Args:
      data: packed store with labels.
      out: run directory to write; the judge is judge.npz in it.
    """
    with StopRequest() as stop:
        judge = train_judge(data, out, cfg, stopped=lambda: stop.signum)
    if not isinstance(judge, Judge):
        leave_if_stopped(judge, out)
        return
    scores = judge.scores.drop(columns="n").sort_values("auc", ascending=False)
    print(scores.rename_axis(None).to_string(float_format="{:.3f}".format))
    for name, reason in judge.missing.items():
        print(f"{name} is not judged: {reason}")
    n = int(judge.scores["n"].iloc[0])
    print(f"means over {len(scores)} attributes, {n:,} test images as they are and blurred:")
    print(f"majority {scores['majority'].mean():.3f}")
    for name in MEASURES:
        print(f"{name} {scores[name].mean():.3f}, blurred {scores[f'soft {name}'].mean():.3f}")
    print(f"wrote {out / JUDGE}")
