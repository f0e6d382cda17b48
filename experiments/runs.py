"""Lists runs: where each stands, how its training ended and why, and its best score.

python experiments/runs.py runs
"""

from pathlib import Path

from jvae import cli
from jvae.errors import InputError
from jvae.training.history import find_runs, standing, table


def main(folder: Path = Path("runs"), /) -> None:
    """Lists the runs in a folder and below it.

    Each is finished, stopped (by a signal: the same command goes on), failed (and why), killed (it ended without a
    word), training, or unknown (an earlier version trained it).

    Args:
      folder: that holds them.
    """
    runs = find_runs(folder)
    if not runs:
        raise InputError(f"there is no run in {folder}: experiments/train.py makes one")
    print(table([standing(run) for run in runs], folder).to_string())


if __name__ == "__main__":
    cli.run(main)
