"""The one file that imports matplotlib.

Figures are made without pyplot, so nothing global changes. pyplot is also what shows figures in a notebook; here the
axes do it themselves, by IPython's ``_repr_png_``.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any, cast

import numpy as np

from mixtura.ground.errors import missing_extra
from mixtura.ground.files import atomic_path

try:
    from matplotlib.axes import Axes as Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Figure
    from matplotlib.gridspec import GridSpec
    from PIL import Image
except ImportError as error:
    raise missing_extra("Plots", "plot") from error

GRID_INCHES = 1.9


class NotebookFigure(Figure):
    """A figure that shows itself in a notebook."""

    def _repr_png_(self) -> bytes:
        return _photograph(self)


class NotebookAxes(Axes):
    """Axes that show their figure in a notebook."""

    def _repr_png_(self) -> bytes:
        return _photograph(self.get_figure(root=True))


class AxesGrid(np.ndarray[tuple[int, int], np.dtype[np.object_]]):
    """An array of axes that show their figure in a notebook."""

    def _repr_png_(self) -> bytes:
        return _photograph(cast(Axes, self[0, 0]).get_figure(root=True))


def _photograph(figure: Figure | None) -> bytes:
    buffer = io.BytesIO()
    if figure is not None:
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


def new_figure(width: float, height: float, **settings: Any) -> NotebookFigure:
    """An empty figure of that many inches."""
    return NotebookFigure(figsize=(width, height), **settings)


def picture_formats() -> list[str]:
    """Endings of file names that a figure can be saved under, without the dot."""
    return sorted(FigureCanvasAgg.get_supported_filetypes())


def add_axes(figure: Figure, gridspec: GridSpec) -> list[Axes]:
    """Axes in every place of a grid, row by row."""
    n_rows, n_columns = gridspec.get_geometry()
    return [figure.add_subplot(gridspec[i, j], axes_class=NotebookAxes) for i, j in np.ndindex(n_rows, n_columns)]


def new_row(n_axes: int, width: float = 6.4, height: float = 4.8) -> list[Axes]:
    """Axes side by side on a figure of their own, each of that many inches."""
    figure = new_figure(n_axes * width, height, layout="constrained")
    return add_axes(figure, figure.add_gridspec(1, n_axes))


def new_grid(size: int) -> AxesGrid:
    """A square grid of axes on a figure of its own."""
    side = GRID_INCHES * size + 0.6
    figure = new_figure(side, side, layout="constrained")
    axes = add_axes(figure, figure.add_gridspec(size, size))
    return np.array(axes, dtype=object).reshape(size, size).view(AxesGrid)


def write_gif(
    path: str | PathLike[str], figure: Figure, frames: Iterable[object], milliseconds: Sequence[int], dpi: int
) -> None:
    """Photograph the figure each time ``frames`` moves on, and write the photographs as one GIF, whole or not at all.

    Pillow is called directly: matplotlib's own writer refuses to work under ``rcParams["savefig.bbox"] = "tight"``, and
    has one duration for all frames.
    """
    figure.set_dpi(dpi)
    canvas: Any = FigureCanvasAgg(figure)
    images = []
    for _ in frames:
        canvas.draw()
        image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
        images.append(image.quantize(colors=128, dither=Image.Dither.NONE))
    with atomic_path(path) as temporary:
        images[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=images[1:],
            duration=list(milliseconds),
            loop=0,
            optimize=True,
        )
