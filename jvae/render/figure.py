"""Tiles in; labelled PNGs and histograms on disk."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jvae.errors import InputError
from jvae.io.files import replacing

TILE = 128  # pixels to which a smaller tile is enlarged
INK, FAINT, PAPER = (32, 32, 36), (104, 104, 112), (255, 255, 255)


def labelled(
    tiles: np.ndarray,
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    title: str | None = None,
    breaks: Collection[int] = (),
    scale: int | None = None,
) -> np.ndarray:
    """A sheet of tiles on white, with names.

    Args:
      tiles: uint8 [r,c,h,w,3].
      rows: r names, written left of the rows. Too long a name is cut short.
      columns: c names, written above the columns.
      title: written on top.
      breaks: columns before which the gap is wide, to set originals apart from what is decoded.
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
    sheet = Image.new("RGB", (right + margin, ys[-1] + h + margin), PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        _write(draw, (margin, margin), title, round(size * 1.3), INK, "la")
    for j, text in enumerate(column_texts):
        _write(draw, (xs[j] + w // 2, top - round(size * 0.6)), text, size, FAINT, "ms")
    for i, text in enumerate(row_texts):
        _write(draw, (left - 2 * gap, ys[i] + h // 2), text, size, FAINT, "rm")
    for i in range(r):
        for j in range(c):
            sheet.paste(Image.fromarray(tiles[i, j]).resize((w, h), Image.Resampling.LANCZOS), (xs[j], ys[i]))
    return np.asarray(sheet)


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


def save_histograms(
    path: str | os.PathLike[str],
    z: np.ndarray,
    names: Sequence[str],
    *,
    title: str | None = None,
    columns: int = 10,
    bins: int = 40,
) -> None:
    """Histograms of latents, each with the standard normal's density over it.

    Args:
      path: ends in .png.
      z: [n,d] latents, one histogram a column.
      names: d names.
      title: written on top.
      columns: histograms in a line.
      bins: of a histogram, from -4 to 4; what lies beyond is counted in the outermost.

    Raises:
      InputError: `path` does not end in .png, or there is nothing to show.
      OSError: it cannot be written.
    """
    check_suffix(path, ".png")
    if z.ndim != 2 or not z.size or len(names) != z.shape[1]:
        raise InputError(f"histograms need latents [n,d] and d names, not {z.shape} and {len(names)}")
    from matplotlib.figure import Figure  # slow to import, and only needed here; without pyplot it needs no screen

    columns = min(columns, z.shape[1])
    lines = -(-z.shape[1] // columns)
    width, height = 1.25 * columns + 0.4, 1.1 * lines + 0.5  # inches
    figure = Figure(figsize=(width, height), dpi=150)
    grid = figure.subplots(lines, columns, squeeze=False)
    figure.subplots_adjust(0.2 / width, 0.15 / height, 1 - 0.2 / width, 1 - 0.6 / height, wspace=0.1, hspace=0.35)
    edges, x = np.linspace(-4, 4, bins + 1), np.linspace(-4, 4, 161)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    for k, axes in enumerate(grid.flat):
        axes.set_axis_off()
        if k < z.shape[1]:
            bars, _ = np.histogram(np.clip(z[:, k], -4, 4), edges, density=True)
            axes.stairs(bars, edges, fill=True, color="#9db8d9")
            axes.plot(x, density, color="#c2410c", linewidth=1)
            axes.set_title(names[k], fontsize=7, pad=2, color="#444444")
            axes.set_xlim(-4, 4)
            axes.set_ylim(0, 0.8)  # twice the normal's peak; the spike of an unused latent is cut off
    if title:
        figure.text(0.2 / width, 1 - 0.15 / height, title, fontsize=10, va="top")
    with replacing(path) as part:
        figure.savefig(part, format="png")


def check_suffix(path: str | os.PathLike[str], suffix: str) -> None:
    """Raises InputError unless `path` ends in `suffix`: scripts ask before the work, the writers before writing."""
    if Path(path).suffix.lower() != suffix:
        raise InputError(f"{path} must end in {suffix}: that is the format written")


def _font(text: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, or for what it has no letters for, matplotlib's."""
    if text.isascii():
        return ImageFont.load_default(size)
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


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
