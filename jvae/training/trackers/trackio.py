"""A run's numbers in; curves in Trackio's data base on this machine out, which `trackio show --project jvae` draws."""

from pathlib import Path
from typing import Any

from jvae.errors import InputError
from jvae.training.log import Tracker

try:
    import trackio  # pyright: ignore[reportMissingImports]
except ModuleNotFoundError as error:
    if error.name != "trackio":
        raise
    raise InputError(
        "--track trackio needs the package trackio, which is not installed: pip install 'jvae[track]'"
    ) from None


def begin(run: Path, name: str, config: dict[str, Any]) -> Tracker:
    """The run `name` of the project jvae. Where to: as TRACKIO_DIR, TRACKIO_SPACE_ID or TRACKIO_SERVER_URL say."""
    package: Any = trackio  # which a type checker takes for this file
    package.init(project="jvae", name=name, config=config, resume="allow")
    return package  # whose functions are those of the run that began last
