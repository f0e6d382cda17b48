"""A run's numbers in; curves at Weights & Biases out, or in RUN/wandb where WANDB_MODE=offline."""

import os
from pathlib import Path
from typing import Any

from jvae.errors import InputError
from jvae.training.log import Tracker

try:
    import wandb  # pyright: ignore[reportMissingImports]
except ModuleNotFoundError as error:
    if error.name != "wandb":
        raise
    raise InputError("--track wandb needs the package wandb, which is not installed: pip install wandb") from None


def begin(run: Path, name: str, config: dict[str, Any]) -> Tracker:
    """The run `name` of the project jvae, or of the one that WANDB_PROJECT names.

    Raises:
      InputError: it is refused, as without a login.
    """
    package: Any = wandb  # which a type checker takes for this file
    try:
        project = os.environ.get("WANDB_PROJECT", "jvae")
        return package.init(project=project, id=name, name=run.name, dir=run, config=config, resume="allow")
    except package.Error as error:
        raise InputError(f"wandb does not begin ({error}): wandb login, or set WANDB_MODE=offline") from None
