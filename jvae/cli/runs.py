"""`jvae runs`: where each run stands, how its training ended and why, and its best score."""

from pathlib import Path

from jvae.errors import InputError
from jvae.training.history import find_runs, runs_table, standing


def main(folder: Path = Path("runs"), /) -> None:
    """Lists the runs in a folder and below it: where each stands, and its best score.

    Each is finished, stopped (by a signal: the same command goes on), failed (and why), killed (it ended without a
    word), training, or unknown (an earlier version trained it).

    Args:
      folder: folder that holds the runs.
    """
    runs = find_runs(folder)
    if not runs:
        raise InputError(f"there is no run in {folder}: `jvae train` makes one")
    print(runs_table([standing(run) for run in runs], folder).to_string())
