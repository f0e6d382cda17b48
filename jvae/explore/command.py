"""A face and what is done to it in; the command that draws it, and what file it needs besides, out."""

import os
import shlex
import zlib
from pathlib import Path

from jvae.errors import InputError
from jvae.explore.asks import Ask, Start
from jvae.explore.studio import FRAMES


def command(run: Path, data: Path | None, ask: Ask, first: str, vectors: Path | None = None) -> tuple[str, str]:
    """The command line, and the name of the .npy file that it reads, with the latent; "" where it reads none.

    Args:
      run: directory of the run.
      data: the store, if there is one.
      ask: what the page shows.
      first: an attribute to move by 0 where none is moved.
      vectors: file of the attribute vectors; None is that of the run.

    Raises:
      InputError: a change is painted onto a picture that `jvae edit` would read with a store, and there is none.
    """
    store = ["--data", os.fspath(data)] if data else []
    ends = [start for start in (ask.start, ask.end) if start]
    if ask.end and data and not ask.look.moved and all(start.source in ("store", "file") for start in ends):
        names = ["--start", _named(ask.start), "--end", _named(ask.end)]
        way = ["--trajectory", ask.look.trajectory, *(["--even"] if ask.look.even else [])]
        movie = ["--movie", "morph.gif", "--frames", str(FRAMES)]
        return shlex.join(["jvae", "morph", "--run", os.fspath(run), *store, *names, *way, *movie]), ""
    *also, (attribute, factor) = [*ask.look.moved.items()] or [(first, 0.0)]
    kind, file = ask.look.of_kind, ""
    framed = ask.start.source == "file" and not data
    if framed and ask.look.paint and not ask.end:
        raise InputError(
            f"the command paints onto {ask.start.name} with a store, which says how it is cut: start jvae explore with "
            "--data, or do not paint only the change"
        )
    if ask.end or framed or ask.start.source == "sample":
        # of two downloads of one name the browser renames the second
        of = repr((ask.start.z, ask.end and (ask.end.z, ask.look.t, ask.look.trajectory)))
        file = f"{'morph' if ask.end else ask.start.name.replace(' ', '-')}-{zlib.crc32(of.encode()):08x}.npy"
        face = ["--latents", file]
    elif ask.start.source == "photo":
        face = ["--photo", ask.start.name, "--eyes", *(f"{at:.1f}" for at in ask.start.eyes)]
    else:
        face = [*store, "--images", _named(ask.start)]
    words = ["jvae", "edit", "--run", os.fspath(run), *face, "--attribute", attribute, "--factors", f"{factor:g}"]
    if also:
        words += ["--also", *(f"{name}={by:g}" for name, by in also)]
    words += ["--unit", "sd", "--kind", kind.name, *(["--vectors", os.fspath(vectors)] if vectors else [])]
    for flag, names in (("--balance", kind.balance), ("--keep", kind.keep)):
        words += [flag, *names] if names else []
    if not file:
        words += ["--paint", "change" if ask.look.paint else "face"]
    return shlex.join(words), file


def _named(start: Start) -> str:
    """What commands find it by: an image_id, or a file that may have the same name as one."""
    return f"./{start.name}" if start.source == "file" else start.name
