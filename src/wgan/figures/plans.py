"""A transport plan, as a matrix and as arrows in the plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wgan.figures.canvas import LIGHT, PAGE_WIDTH, Floats, Theme, blank, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# More arrows cover one another.
_MOST_ARROWS = 400
# So many components suffice for sorting, and pairwise distances of more samples are too expensive.
_MOST_COMPONENTS = 8
_MOST_SORTED = 4_000


def transport_plan(
    x: ArrayLike,
    y: ArrayLike,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    masses: Floats,
    *,
    theme: Theme = LIGHT,
) -> Figure:
    """Draw a transport plan as a matrix, and for points in the plane as arrows too.

    Rows and columns of the matrix are in a common order, in which neighbours are near one another. Mass that stays near
    is on the diagonal. A block off the diagonal is mass that one cluster has too much of and another too little.

    Args:
        x: A, shape (N, D).
        y: B, shape (M, D).
        rows: Indices into A, shape (K,).
        columns: Indices into B, shape (K,).
        masses: Transported mass, shape (K,), summing to 1.
        theme: Colours; A in that of data, B in that of samples.
    """
    source, target = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    order = _order(np.concatenate([source, target]))
    is_plane = source.shape[1] == 2
    with style(theme):
        figure = blank(*((PAGE_WIDTH, PAGE_WIDTH / 2 + 0.55) if is_plane else (5.4, 5.4)))
        panels = list(figure.subplots(1, 2 if is_plane else 1, squeeze=False)[0])
        _draw_matrix(panels[0], order, (len(source), len(target)), (rows, columns, masses), theme)
        if is_plane:
            some = _spread_out(order, rows)
            _draw_arrows(panels[1], source, target, rows[some], columns[some], theme)
            more = f"{len(some)} of {len(rows):,} moves" if len(some) < len(rows) else f"all {len(rows):,} moves"
            panels[1].set_title(f"Moves in the plane: {more}")
            figure.legend(handles=_handles(theme), loc="outside lower right", ncols=2)
    return figure


def _handles(theme: Theme) -> list[Any]:
    from matplotlib.patches import Patch

    return [Patch(color=theme.real, label="A"), Patch(color=theme.generated, label="B")]


def _order(points: Floats) -> NDArray[np.int64]:
    """The ranks of points in an order in which neighbours are near: shape (N,), a permutation.

    Points are clustered hierarchically (Ward). Of two clusters that merge, the one with the smaller mean along the
    first principal component comes first. Very many points are sorted by that component alone.
    """
    centred = points - points.mean(axis=0)
    scale = np.abs(centred).max()
    centred = centred / scale if scale > 0 else centred
    if centred.shape[1] > _MOST_COMPONENTS:
        axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1] if centred.shape[1] <= len(centred) else None
        axes = np.linalg.svd(centred, full_matrices=False)[2].T if axes is None else axes
        centred = centred @ axes[:, :_MOST_COMPONENTS]
    elif centred.shape[1] > 1:
        centred = centred @ np.linalg.eigh(centred.T @ centred)[1][:, ::-1]
    ranks = np.empty(len(points), dtype=np.int64)
    sequence = np.argsort(centred[:, 0], kind="stable")
    if centred.shape[1] > 1 and 2 < len(points) <= _MOST_SORTED:
        sequence = _leaves(centred)
    ranks[sequence] = np.arange(len(points))
    return ranks


def _leaves(points: Floats) -> NDArray[np.int64]:
    """The points in the order of the leaves of their dendrogram."""
    from scipy.cluster.hierarchy import linkage

    num = len(points)
    merges = linkage(points, method="ward")
    sizes, sums = np.ones(2 * num - 1), np.zeros(2 * num - 1)
    sums[:num] = points[:, 0]
    children = merges[:, :2].astype(np.int64)
    for node, (left, right) in enumerate(children, start=num):
        sizes[node], sums[node] = sizes[left] + sizes[right], sums[left] + sums[right]
    means = sums / sizes
    found: list[int] = []
    # Without recursion: the tree can be as deep as there are points.
    stack = [2 * num - 2]
    while stack:
        node = stack.pop()
        if node < num:
            found.append(node)
            continue
        first, second = sorted(children[node - num], key=lambda child: means[child])
        stack += [int(second), int(first)]
    return np.array(found)


def _spread_out(order: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Entries of the plan to draw as arrows, at most 400, evenly spaced in the order of rows."""
    along = np.argsort(order[rows], kind="stable")
    if len(along) <= _MOST_ARROWS:
        return along
    return along[np.linspace(0, len(along) - 1, _MOST_ARROWS).astype(np.int64)]


def _draw_matrix(
    panel: Axes,
    order: NDArray[np.int64],
    shape: tuple[int, int],
    plan: tuple[NDArray[np.int64], NDArray[np.int64], Floats],
    theme: Theme,
) -> None:
    """The plan's entries as dots, with areas proportional to the mass."""
    rows, columns, masses = plan
    num_x, num_y = shape
    ranks = [np.argsort(np.argsort(side)) for side in (order[:num_x], order[num_x:])]
    size = np.clip(6_000 / max(shape), 1.5, 40.0)
    panel.scatter(
        ranks[1][columns],
        ranks[0][rows],
        s=size * masses / masses.max(),
        color=theme.generated,
        linewidths=0,
        rasterized=True,
    )
    panel.set_title(f"Transport plan: {num_x:,} samples of A to {num_y:,} of B")
    panel.set(xlabel="samples of B, clustered", ylabel="samples of A, clustered")
    panel.set_xlim(-0.5, num_y - 0.5)
    panel.set_ylim(num_x - 0.5, -0.5)
    panel.set(xticks=[], yticks=[])
    panel.spines[:].set(visible=True, color=theme.faint, linewidth=0.6)
    panel.set_box_aspect(1)


def _draw_arrows(
    panel: Axes, x: Floats, y: Floats, rows: NDArray[np.int64], columns: NDArray[np.int64], theme: Theme
) -> None:
    """Arrows from samples of A to samples of B, drawn over all samples."""
    for values, colour in ((x, theme.real), (y, theme.generated)):
        size = float(np.clip(4_000 / len(values), 1.0, 9.0))
        panel.scatter(
            values[:, 0], values[:, 1], s=size, color=colour, alpha=0.8, linewidths=0, zorder=3, rasterized=True
        )
    begin, steps = x[rows], y[columns] - x[rows]
    panel.quiver(
        begin[:, 0],
        begin[:, 1],
        steps[:, 0],
        steps[:, 1],
        angles="xy",
        scale_units="xy",
        scale=1.0,
        width=0.0018,
        headwidth=5.0,
        headlength=6.0,
        headaxislength=5.0,
        minlength=0.0,
        color=theme.distance,
        alpha=0.6,
        zorder=2,
        rasterized=True,
    )
    panel.grid(visible=True)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    both = np.concatenate([x, y])
    low, high = both.min(axis=0), both.max(axis=0)
    half = 0.54 * (high - low).max() or 0.5
    middle = (low + high) / 2
    panel.set_xlim(middle[0] - half, middle[0] + half)
    panel.set_ylim(middle[1] - half, middle[1] + half)
    panel.set_box_aspect(1)
