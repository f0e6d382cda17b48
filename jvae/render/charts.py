"""Curves, matrices and latents in; charts as PNG on disk."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jvae.errors import InputError
from jvae.io.files import replacing
from jvae.render.sheet import check_suffix, import_matplotlib

BLUE, RED, GRAY = "#2b6cb0", "#c2410c", "#b8b8c0"


def new_figure(width: float, height: float) -> Any:
    """A matplotlib figure, in inches. It is drawn to a file whatever backend pyplot has, and needs no screen."""
    import_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150)
    FigureCanvasAgg(figure)
    return figure


def save_figure(path: str | os.PathLike[str], figure: Any) -> None:
    """Writes a figure as PNG, whole or not at all."""
    with replacing(path) as part:
        figure.savefig(part, format="png")


def save_curves(
    path: str | os.PathLike[str],
    curves: Mapping[str, tuple[np.ndarray, np.ndarray, float]],
    *,
    title: str | None = None,
    columns: int = 8,
) -> None:
    """Small ROC curves, one a name, with the area under each; the diagonal is what guessing gives.

    Args:
      path: ends in .png.
      curves: name -> false positives [k], true positives [k], area.
      title: written on top.
      columns: curves in a line.

    Raises:
      InputError: `path` does not end in .png, or there is no curve.
    """
    check_suffix(path, ".png")
    if not curves:
        raise InputError("there are no ROC curves to draw")
    columns = min(columns, len(curves))
    lines = -(-len(curves) // columns)
    width, height = 1.3 * columns + 0.4, 1.5 * lines + 0.5  # inches
    figure = new_figure(width, height)
    grid = figure.subplots(lines, columns, squeeze=False)
    figure.subplots_adjust(0.2 / width, 0.15 / height, 1 - 0.2 / width, 1 - 0.75 / height, wspace=0.15, hspace=0.3)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (name, (false, true, area)) in zip(grid.flat, curves.items(), strict=False):
        axes.fill_between(false, true, color="#dbe7f5", linewidth=0)
        axes.plot([0, 1], [0, 1], color=GRAY, linewidth=0.8)
        axes.plot(false, true, color=BLUE, linewidth=1.2)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.set_title(name, fontsize=6.5, pad=2, color="#444444")
        axes.text(0.97, 0.05, f"{area:.3f}".removeprefix("0"), fontsize=8, ha="right", color="#202024")
    if title:
        figure.text(0.2 / width, 1 - 0.15 / height, title, fontsize=10, va="top")
    save_figure(path, figure)


def draw_matrix(
    axes: Any,
    matrix: np.ndarray,
    names: Sequence[str],
    heading: str,
    *,
    limit: float = 1.0,
    size: float = 6.0,
    rows: bool = True,
) -> Any:
    """Draws [v,v] as a heat map with v names below it and, where `rows`, beside it, of `size` points."""
    shown = axes.imshow(matrix, cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), names if rows else [], fontsize=size)
    axes.tick_params(length=0, pad=2)
    axes.spines[:].set_visible(False)
    axes.set_title(heading, fontsize=9, pad=6, color="#444444")
    return shown


def save_matrices(
    path: str | os.PathLike[str],
    matrices: Mapping[str, np.ndarray],
    names: Sequence[str],
    *,
    limit: float = 1.0,
    title: str | None = None,
) -> None:
    """Square matrices side by side as heat maps, red where above 0 and blue where below.

    Args:
      path: ends in .png.
      matrices: heading -> [v,v]; what is not a number stays white.
      names: v names, of rows and columns.
      limit: the value at which a colour is full.
      title: written on top.

    Raises:
      InputError: `path` does not end in .png, there is no matrix, or a shape does not fit the names.
    """
    check_suffix(path, ".png")
    v = len(names)
    for heading, matrix in matrices.items():
        if matrix.shape != (v, v):
            raise InputError(f"{heading} must be [{v},{v}] for {v} names, not {list(matrix.shape)}")
    if not matrices or not v:
        raise InputError("there are no matrices to draw")
    side = max(0.16 * v, 1.6)
    width, height = (side + 0.35) * len(matrices) + 1.9, side + 2.0  # inches
    figure = new_figure(width, height)
    shown = None
    for k, (heading, matrix) in enumerate(matrices.items()):
        left = 1.3 + k * (side + 0.35)
        axes = figure.add_axes((left / width, 1.3 / height, side / width, side / height))
        shown = draw_matrix(axes, matrix, names, heading, limit=limit, rows=k == 0)
    bar = figure.add_axes(((width - 0.5) / width, 1.3 / height, 0.1 / width, side / height))
    figure.colorbar(shown, cax=bar).ax.tick_params(labelsize=6, length=2)
    if title:
        figure.text(0.2 / width, 1 - 0.15 / height, title, fontsize=11, va="top")
    save_figure(path, figure)


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
    columns = min(columns, z.shape[1])
    lines = -(-z.shape[1] // columns)
    width, height = 1.25 * columns + 0.4, 1.1 * lines + 0.5  # inches
    figure = new_figure(width, height)
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
    save_figure(path, figure)
