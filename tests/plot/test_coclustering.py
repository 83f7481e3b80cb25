"""The picture of a co-clustering matrix is that matrix with its groups side by side."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.cluster.hierarchy import cut_tree, linkage
from scipy.spatial.distance import squareform

matplotlib = pytest.importorskip("matplotlib")

import mixtura as mx  # noqa: E402
from labellings import coclustering_of_labels  # noqa: E402
from mixtura.assess.draws.partitions import estimate_partition, information_criterion  # noqa: E402
from mixtura.plot.together import blocks  # noqa: E402


def noisy(sizes: tuple[int, ...], noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows in random order, of groups of those sizes, and their matrix under labels that are wrong now and then."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    wrong = rng.random((200, len(truth))) < noise
    return truth, coclustering_of_labels(np.where(wrong, rng.integers(0, len(sizes), wrong.shape), truth))


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_the_image_is_the_matrix_in_an_order_in_which_groups_lie_together(noise: float) -> None:
    truth, matrix = noisy((20, 5, 12), noise)
    axes = mx.plot.coclustering(matrix)
    (image,) = axes.images
    order, sizes = blocks(matrix)
    assert np.array_equal(np.sort(order), np.arange(37))
    assert np.array_equal(image.get_array(), matrix[order][:, order])
    assert image.get_clim() == (0.0, 1.0)
    assert sorted(sizes.tolist()) == [5, 12, 20]
    for own in np.split(truth[order], np.cumsum(sizes)[:-1]):
        assert len(set(own.tolist())) == 1
    assert axes.get_title() == "37 rows in 3 groups"


def test_frames_and_sizes_are_those_of_the_groups() -> None:
    _, matrix = noisy((60, 1, 30), 0.0)
    axes = mx.plot.coclustering(matrix)
    _, sizes = blocks(matrix)
    first = -0.5
    for frame, size in zip(axes.lines, sizes.tolist(), strict=True):
        across, up = frame.get_data()
        assert (min(across), max(across)) == (min(up), max(up)) == (first, first + size)
        first += size
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == [f"{size}" for size in sizes if size > 1]  # no room for the size of a single row
    middles = (np.cumsum(sizes) - sizes / 2 - 0.5)[sizes > 1]
    assert axes.get_yticks() == pytest.approx(middles)


@pytest.mark.parametrize("seed", range(5))
def test_the_groups_are_the_best_cut_of_the_tree(seed: int) -> None:
    _, matrix = noisy((9, 7, 5, 3), 0.45, seed)
    order, sizes = blocks(matrix)
    groups = np.empty(len(matrix), int)
    groups[order] = np.repeat(np.arange(len(sizes)), sizes)
    cuts = cut_tree(linkage(squareform(1 - matrix, checks=False), "average"), range(1, 21)).T
    best = min(information_criterion(labels, matrix) for labels in cuts)
    assert information_criterion(groups, matrix) == pytest.approx(best, abs=1e-12)
    assert estimate_partition(matrix).criterion <= best + 1e-12


def test_a_fitted_estimator_is_drawn_on_given_axes() -> None:
    _, matrix = noisy((4, 4), 0.1)
    given = matplotlib.figure.Figure().add_subplot()
    model = SimpleNamespace(draws_="drawn", coclustering=lambda X: matrix)
    assert mx.plot.coclustering(model, [[0.0]], ax=given) is given
    with pytest.raises(mx.InvalidParameterError, match=r"coclustering\(model, X\)"):
        mx.plot.coclustering(model)
    assert len(given.figure.axes) == 2  # the second is the colour bar
    assert given.figure.axes[1].get_ylabel() == "probability of belonging together"


@pytest.mark.parametrize(("n_rows", "title"), [(1, "1 row in 1 group"), (2, "2 rows in 1 group")])
def test_few_rows_are_enough(n_rows: int, title: str) -> None:
    assert mx.plot.coclustering(np.ones((n_rows, n_rows))).get_title() == title


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([0.5, 1.0], "square"),
        (np.zeros((0, 0)), "square"),
        (np.ones((2, 3)), "square"),
        ([[1.0, 0.2], [0.3, 1.0]], "symmetric"),
        ([[1.0, 2.0], [2.0, 1.0]], "probabilities"),
        ([[1.0, np.nan], [np.nan, 1.0]], "probabilities"),
    ],
)
def test_what_is_no_such_matrix_is_refused(matrix: object, message: str) -> None:
    with pytest.raises(mx.DataError, match=message):
        mx.plot.coclustering(matrix)
