"""Verifies every checksum of a packed store, a run directory, or a file of vectors or of a judge.

    python experiments/check.py data/x
    python experiments/check.py runs/y

prints a line for each part, and ends with 1 where one is damaged.
"""

from pathlib import Path

from jvae import check, cli


def main(path: Path, /) -> None:
    """Verifies every checksum of a packed store, a run directory, or a file of vectors or of a judge.

    Args:
      path: of the store, the run or the file.
    """
    damaged = 0
    for part, problem in check.check(path):
        print(f"{part}: {problem or 'whole'}", flush=True)
        damaged += problem is not None
    if damaged:
        print(f"{damaged} damaged")
        raise SystemExit(1)


if __name__ == "__main__":
    cli.run(main)
