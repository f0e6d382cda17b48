"""Tables, curves, matrices and pictures in; one page of them, as PNG on disk, out."""

import os
from collections.abc import Mapping, Sequence

import numpy as np

from jvae.errors import InputError
from jvae.render.charts import GRAY, draw_matrix, new_figure, save_figure
from jvae.render.sheet import check_suffix

WIDTH, MARGIN, GAP = 13.0, 0.5, 0.55  # inches
LINE = 0.135  # of text


def save_page(
    path: str | os.PathLike[str],
    *,
    title: str,
    lines: Sequence[str],
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    axes: tuple[str, str],
    matrices: Mapping[str, np.ndarray],
    names: Sequence[str],
    picture: np.ndarray,
) -> None:
    """A page: text, curves and matrices beside each other, then a picture over the whole width.

    Args:
      path: ends in .png.
      title: written on top.
      lines: of text, in a font of one width.
      curves: name -> x [k], y [k], between 0 and 1.
      axes: what x and y are.
      matrices: heading -> [v,v], from 0 to 1; what is not a number stays white.
      names: v names, of rows and columns.
      picture: uint8 [h,w,3].

    Raises:
      InputError: `path` does not end in .png, or a matrix does not fit the names.
    """
    check_suffix(path, ".png")
    v = len(names)
    for heading, matrix in matrices.items():
        if matrix.shape != (v, v):
            raise InputError(f"{heading} must be [{v},{v}] for {v} names, not {list(matrix.shape)}")
    count = 1 + len(matrices)
    side = (WIDTH - 2 * MARGIN - count * 1.2) / count
    shown = (WIDTH - 2 * MARGIN) * picture.shape[0] / picture.shape[1]
    text = LINE * len(lines) + 0.6
    height = MARGIN + text + GAP + side + 1.5 + shown + MARGIN
    figure = new_figure(WIDTH, height)
    figure.text(MARGIN / WIDTH, 1 - MARGIN / height, title, fontsize=15, va="top")
    figure.text(MARGIN / WIDTH, 1 - (MARGIN + 0.5) / height, "\n".join(lines), fontsize=8, va="top", family="monospace")
    bottom = (height - MARGIN - text - GAP - side) / height
    panel = figure.add_axes(((MARGIN + 0.4) / WIDTH, bottom, side / WIDTH, side / height))
    for name, (x, y) in curves.items():
        panel.plot(x, y, linewidth=1.4, label=name)
    panel.set(xlim=(0, max([0.05, *(float(np.max(x)) for x, _ in curves.values())])), ylim=(0, 1.01))
    panel.set_xlabel(axes[0], fontsize=8)
    panel.set_ylabel(axes[1], fontsize=8)
    panel.tick_params(labelsize=7, color=GRAY)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(GRAY)
    if curves:
        panel.legend(fontsize=7, frameon=False, loc="lower right")
    for k, (heading, matrix) in enumerate(matrices.items(), 1):
        left = MARGIN + 0.4 + k * (side + 1.2)
        square = figure.add_axes((left / WIDTH, bottom, side / WIDTH, side / height))
        draw_matrix(square, matrix, names, heading, size=min(6.0, 50 * side / max(v, 1)))
    below = figure.add_axes((MARGIN / WIDTH, MARGIN / height, 1 - 2 * MARGIN / WIDTH, shown / height))
    below.imshow(picture, interpolation="lanczos")
    below.set_axis_off()
    save_figure(path, figure)
