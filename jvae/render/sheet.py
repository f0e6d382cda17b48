"""Tiles in; one picture of them, with names or bare, out: the only way from tiles to a picture, and to a PNG."""

import contextlib
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jvae.errors import InputError
from jvae.io.files import replacing

TILE = 128  # pixels to which a smaller tile is enlarged
INK, FAINT, PAPER = (32, 32, 36), (104, 104, 112), (255, 255, 255)


def sheet(
    tiles: np.ndarray,
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    title: str | None = None,
    breaks: Collection[int] = (),
    raw: bool = False,
    scale: int | None = None,
) -> np.ndarray:
    """A picture of tiles: on white, with names; or bare.

    Args:
      tiles: uint8 [r,c,h,w,3].
      rows: r names to write left of the rows. Too long a name is cut short.
      columns: c names to write above the columns.
      title: line to write on top.
      breaks: columns before which the gap is wide, to set originals apart from what is decoded.
      raw: leave out names, gaps and enlargement: the tiles alone, [r*h, c*w, 3].
      scale: enlargement of the tiles (Lanczos); None brings them to at least `TILE` pixels.

    Returns:
      uint8 [height, width, 3].

    Raises:
      InputError: the tiles are not of that shape, or the names are not as many as the rows or columns.
    """
    if tiles.ndim != 5 or tiles.dtype != np.uint8 or tiles.shape[-1] != 3 or not tiles.size:
        raise InputError(f"tiles must be uint8 [rows, columns, height, width, 3], not {tiles.dtype} {tiles.shape}")
    r, c, h, w, _ = tiles.shape
    for kind, names, count in (("rows", rows, r), ("columns", columns, c)):
        if names is not None and len(names) != count:
            raise InputError(f"{len(names)} names for {count} {kind}")
    if raw:
        return tiles.swapaxes(1, 2).reshape(r * h, c * w, 3)
    scale = scale or -(-TILE // max(h, w))
    h, w = h * scale, w * scale
    size = min(max(w // 9, 12), 28)  # of the letters
    gap, margin = max(w // 32, 2), max(w // 6, 12)
    row_texts = [_cut(text, size, round(1.25 * w)) for text in rows or ()]
    column_texts = [_cut(text, size, w) for text in columns or ()]
    left = margin + (max(_width(text, size) for text in row_texts) + 2 * gap if row_texts else 0)
    top = margin + (round(size * 2.4) if title else 0) + (round(size * 1.6) if columns else 0)
    wide = [gap * 4 if j in breaks else gap for j in range(c)]
    xs = [left + j * w + sum(wide[1 : j + 1]) for j in range(c)]
    ys = [top + i * (h + gap) for i in range(r)]
    right = xs[-1] + w
    if title:  # a narrow sheet makes room for its title
        right = max(right, margin + _width(title, round(size * 1.3)))
    picture = Image.new("RGB", (right + margin, ys[-1] + h + margin), PAPER)
    draw = ImageDraw.Draw(picture)
    if title:
        _write(draw, (margin, margin), title, round(size * 1.3), INK, "la")
    for j, text in enumerate(column_texts):
        _write(draw, (xs[j] + w // 2, top - round(size * 0.6)), text, size, FAINT, "ms")
    for i, text in enumerate(row_texts):
        _write(draw, (left - 2 * gap, ys[i] + h // 2), text, size, FAINT, "rm")
    for i in range(r):
        for j in range(c):
            picture.paste(Image.fromarray(tiles[i, j]).resize((w, h), Image.Resampling.LANCZOS), (xs[j], ys[i]))
    return np.asarray(picture)


def save_png(path: str | os.PathLike[str], picture: np.ndarray) -> None:
    """Writes a uint8 [h,w,3] picture, whole or not at all.

    Raises:
      InputError: `path` does not end in .png.
      OSError: it cannot be written.
    """
    check_suffix(path, ".png")
    with replacing(path) as part:
        # level 1: a tenth larger than the least that there is, and ten times as fast
        Image.fromarray(picture).save(part, format="PNG", compress_level=1)


def check_suffix(path: str | os.PathLike[str], suffix: str) -> None:
    """Raises InputError unless `path` ends in `suffix`: commands ask before the work, writers before writing."""
    if Path(path).suffix.lower() != suffix:
        raise InputError(f"{path} must end in {suffix}: that is the format written")


def _font(text: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, or for what it has no letters for, matplotlib's."""
    if text.isascii():
        return ImageFont.load_default(size)
    return ImageFont.truetype(Path(import_matplotlib().get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def _width(text: str, size: int) -> int:
    return round(_font(text, size).getlength(text))


def _cut(text: str, size: int, width: int) -> str:
    """`text`, or as much of its beginning as fits `width` pixels with three dots after it."""
    if _width(text, size) <= width:
        return text
    while text and _width(text + "...", size) > width:
        text = text[:-1]
    return text + "..."


def _write(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, ink: tuple, anchor: str) -> None:
    draw.text(at, text, fill=ink, font=_font(text, size), anchor=anchor)


def import_matplotlib() -> Any:
    """The module matplotlib, which draws to files whatever backend MPLBACKEND names, even one that is not installed.

    Where the backend is there, as in a notebook, it stays the one that pyplot will use.
    """
    backend = None if "matplotlib" in sys.modules else os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib  # with a backend that it does not know it fails, and cannot be imported again
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        with contextlib.suppress(ValueError):
            matplotlib.rcParams["backend"] = backend
    return matplotlib
