"""`jvae check`: every checksum of a store, a run or a file."""

from pathlib import Path

from jvae.check import check


def main(path: Path, /) -> None:
    """Verifies every checksum of a packed store, a run directory, or a file of vectors or of a judge.

    Prints a line for each part, and exits with 1 where one is damaged.

    Args:
      path: store, run or file to verify.
    """
    damaged = 0
    for part, problem in check(path):
        print(f"{part}: {problem or 'whole'}", flush=True)
        damaged += problem is not None
    if damaged:
        print(f"{damaged} damaged")
        raise SystemExit(1)
