"""What is exported, a format and a place in; a directory in that format, whole or absent, out."""

import os
from collections.abc import Callable
from pathlib import Path

from jvae.errors import InputError
from jvae.export.bundle import Bundle
from jvae.export.card import card
from jvae.export.hub import write_hub
from jvae.export.onnx_files import write_onnx
from jvae.export.stablehlo import write_stablehlo
from jvae.export.web import write_web
from jvae.io.files import on_disk, replacing

# Format → what writes its files into a folder, given what is exported and whether weights are stored as float16.
WRITERS: dict[str, Callable[[Path, Bundle, bool], list[str]]] = {
    "hub": lambda folder, bundle, half: write_hub(folder, bundle),
    "onnx": lambda folder, bundle, half: write_onnx(folder, bundle, half=half),
    "stablehlo": lambda folder, bundle, half: write_stablehlo(folder, bundle),
    "web": lambda folder, bundle, half: write_web(folder, bundle, half=half),
}
HALF = {"onnx": False, "web": True}  # formats whose weights may be stored as float16, and whether they are unless told


def check_place(to: str | os.PathLike[str]) -> Path:
    """Where to write. Raises `InputError` where something is there already."""
    to = on_disk(to)
    if to.exists() and not (to.is_dir() and not any(to.iterdir())):
        raise InputError(f"{to} exists already: give another --to, or delete it")
    return to


def check_weights(format: str, weights: str | None) -> bool:
    """Whether a format stores weights as float16. Raises `InputError` where it has no choice, and one is given."""
    if weights and format not in HALF:
        raise InputError(f"weights={weights}: the format {format} stores them as they are, leave it out")
    return weights == "float16" if weights else HALF.get(format, False)


def export(bundle: Bundle, to: str | os.PathLike[str], format: str, weights: str | None = None) -> list[str]:
    """Writes a directory, whole or not at all, with a README.md that says what it is.

    Args:
      bundle: what is exported.
      to: directory to make.
      format: one of WRITERS.
      weights: "float32" or "float16"; None is what the format has unless told.

    Returns:
      A line on each of the larger files.

    Raises:
      InputError: there is something at `to`, the format's packages are not installed, or see the writers.
      OSError: it cannot be written. Nothing is left of it.
    """
    to, half = check_place(to), check_weights(format, weights)
    with replacing(to) as part:
        part.mkdir()
        lines = WRITERS[format](part, bundle, half)
        (part / "README.md").write_text(card(bundle, format), encoding="utf-8")
    return lines
