"""The numbers behind the pictures, without drawing anything."""

import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from mixtura.ground.errors import DataError, InvalidParameterError
from mixtura.model.mixture import Mixture
from mixtura.plot.animation import chosen_iterations
from mixtura.plot.clusters import most_telling
from mixtura.plot.contours import emptiest_corner
from mixtura.plot.palette import PALETTE, blended, component_colours
from mixtura.plot.regions import ellipse, grid_along, highest_density_levels, histogram_edges, window
from mixtura.plot.subject import all_rows, feature_indices, feature_names, label_of, marginal, separation, thinned

COVARIANCES = [
    [[2.0, 0.6, 0.1], [0.6, 1.0, -0.2], [0.1, -0.2, 0.5]],
    [[1.0, 0.0, 0.3], [0.0, 3.0, 0.0], [0.3, 0.0, 0.4]],
]
SPACE = Mixture([0.3, 0.7], [[0.0, 1.0, 2.0], [4.0, -1.0, 0.0]], COVARIANCES, feature_names=["a", "b", "c"])
PLANE = marginal(SPACE, [0, 1])
LINE = Mixture([0.2, 0.5, 0.3], [[0.0], [5.0], [5.0]], [1.0, 0.01, 9.0], "spherical")


@pytest.mark.parametrize("radius", [1.0, 2.0])
def test_an_ellipse_is_a_level_of_its_normal(radius):
    mean, covariance = np.array([3.0, -1.0]), np.array([[4.0, 1.5], [1.5, 1.0]])
    residuals = ellipse(mean, covariance, radius) - mean
    distances = np.einsum("nd,de,ne->n", residuals, np.linalg.inv(covariance), residuals)
    assert distances == pytest.approx(radius**2, rel=1e-12)


def test_an_ellipse_has_the_axes_of_the_eigen_decomposition():
    covariance = np.array([[4.0, 1.5], [1.5, 1.0]])
    variances, vectors = np.linalg.eigh(covariance)
    around = ellipse(np.zeros(2), covariance, 2.0, n_points=100_001)
    lengths = np.linalg.norm(around, axis=1)
    assert lengths.max() == pytest.approx(2 * math.sqrt(variances[1]), rel=1e-6)
    assert lengths.min() == pytest.approx(2 * math.sqrt(variances[0]), rel=1e-6)
    longest = around[lengths.argmax()] / lengths.max()
    assert abs(longest @ vectors[:, 1]) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(("radius", "mass"), [(1.0, 0.393), (2.0, 0.865)])
def test_an_ellipse_holds_the_mass_that_is_said(radius, mass):
    assert 1 - math.exp(-(radius**2) / 2) == pytest.approx(mass, abs=5e-4)


@pytest.mark.parametrize("mixture", [PLANE, LINE], ids=["plane", "line"])
def test_highest_density_regions_hold_their_mass(mixture, seed):
    """Levels come from draws with a seed of their own and are off by 0.002; five and a half errors of a share of these rows are 0.0043."""
    mass = [0.5, 0.8, 0.95, 0.99]
    levels = highest_density_levels(mixture, mass)
    fresh, _ = mixture.sample(400_000, random_state=seed + 9)
    held = (mixture.log_pdf(fresh)[:, None] > levels).mean(axis=0)
    assert held == pytest.approx(mass, abs=0.006)
    assert (np.diff(levels) < 0).all()


def test_the_level_of_one_normal_is_known():
    mixture = Mixture([1.0], [[0.0, 0.0]], [[[4.0, 1.0], [1.0, 2.0]]])
    exact = mixture.log_pdf(mixture.means) + math.log(1 - 0.8)  # exp(−r²/2) = 1 − p at the edge
    assert highest_density_levels(mixture, [0.8]) == pytest.approx(exact, abs=0.03)


@pytest.mark.parametrize("mass", [[], [0.0], [0.5, 1.0], [95]])
def test_a_mass_is_between_0_and_1(mass):
    with pytest.raises(InvalidParameterError, match="between 0 and 1"):
        highest_density_levels(PLANE, mass)


@pytest.mark.parametrize("kept", [[0], [2], [0, 2], [2, 1], [1, 2, 0]])
def test_a_marginal_is_the_mixture_of_the_marginals(kept):
    X, _ = SPACE.sample(20, random_state=1)
    expected = sum(
        weight * multivariate_normal(mean[kept], covariance[np.ix_(kept, kept)]).pdf(X[:, kept])
        for weight, mean, covariance in zip(SPACE.weights, SPACE.means, SPACE.covariances, strict=True)
    )
    assert marginal(SPACE, kept).pdf(X[:, kept]) == pytest.approx(expected, rel=1e-12)
    assert marginal(SPACE, kept).feature_names == tuple("abc"[j] for j in kept)


@pytest.mark.parametrize(
    ("name", "covariances"),
    [
        ("tied", np.eye(3)),
        ("diag", np.ones((2, 3))),
        ("tied_diag", np.ones(3)),
        ("spherical", np.ones(2)),
        ("EII", 1.0),
    ],
)
def test_every_structure_has_marginals(name, covariances):
    mixture = Mixture([0.3, 0.7], SPACE.means, covariances, name)
    x = np.linspace(-3, 3, 7)
    expected = 0.3 * norm(1.0, 1.0).pdf(x) + 0.7 * norm(-1.0, 1.0).pdf(x)
    assert marginal(mixture, [1]).pdf(x[:, None]) == pytest.approx(expected, rel=1e-12)


def test_a_curve_on_its_grid_integrates_to_one_though_a_component_is_narrow():
    narrow = Mixture([0.5, 0.5], [[0.0], [1.0]], [100.0, 1e-8], "spherical")
    (limits,) = window(narrow, None, 4.0)
    places = grid_along(narrow, 0, limits)
    assert np.trapezoid(narrow.pdf(places[:, None]), places) == pytest.approx(1.0, abs=2e-3)


def test_colours_are_blended_by_responsibility():
    responsibilities = np.array([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.2, 0.3, 0.5]])
    colours = blended(responsibilities)
    assert colours[0] == pytest.approx(PALETTE[0])
    assert colours[1] == pytest.approx((PALETTE[1] + PALETTE[2]) / 2)
    assert colours[2] == pytest.approx(0.2 * PALETTE[0] + 0.3 * PALETTE[1] + 0.5 * PALETTE[2])


def test_twelve_components_have_twelve_colours_and_more_still_have_one():
    assert len(np.unique(component_colours(12), axis=0)) == 12
    assert component_colours(30).shape == (30, 3)


def test_a_window_shows_rows_and_components_but_a_wide_component_does_not_dwarf_the_data():
    mixture = Mixture([0.9, 0.1], [[0.0], [0.0]], [1.0, 1e6], "spherical")
    rows = np.array([[-2.0], [2.0]])
    ((low, high),) = window(mixture, rows, 2.0)
    assert -4.5 < low < -2.0
    assert 2.0 < high < 4.5
    ((low, high),) = window(Mixture([1.0], [[10.0]], [1.0], "spherical"), rows, 2.0)
    assert low < -2.0
    assert high > 2.0


def test_a_window_ignores_a_component_without_weight():
    mixture = Mixture([1.0, 0.0], [[0.0], [1e6]], [1.0, 1.0], "spherical")
    assert window(mixture, None, 2.0).max() < 3


@pytest.mark.parametrize("values", [[0.0], [3.0, 3.0, 3.0], [0.0, 1.0, 1e12], list(range(1000))])
def test_a_histogram_has_a_sensible_number_of_bins_that_cover_the_data(values):
    edges = histogram_edges(np.array(values))
    assert 10 <= len(edges) - 1 <= 60
    assert edges[0] <= min(values)
    assert edges[-1] >= max(values)


def test_thinning_is_deterministic_ordered_and_without_repeats():
    chosen = thinned(100_000, 500)
    assert len(chosen) == 500
    assert (np.diff(chosen) > 0).all()
    assert np.array_equal(chosen, thinned(100_000, 500))
    assert thinned(3, 5).tolist() == [0, 1, 2]
    with pytest.raises(InvalidParameterError, match="max_points"):
        thinned(3, 0)


def test_features_are_found_by_place_and_by_name():
    assert feature_indices(["c", 0], "abc") == [2, 0]
    assert feature_indices([-1], "abc") == [2]
    assert feature_indices("b", "abc") == [1]
    for wrong in (["d"], [3], [0, 0], []):
        with pytest.raises(InvalidParameterError, match="features must be"):
            feature_indices(wrong, "abc")


def test_features_are_named_by_the_mixture_then_by_the_data_then_by_place():
    class Frame:
        columns = ("u",)

    assert feature_names(SPACE) == ("a", "b", "c")
    assert feature_names(LINE, Frame()) == ("u",)
    assert feature_names(LINE) == ("x",)
    assert feature_names(Mixture([1.0], [[0.0, 0.0]], 1.0, "EII")) == ("x0", "x1")


def test_the_most_telling_features_are_those_that_differ_between_components():
    means = np.zeros((2, 9))
    means[1, [1, 2, 4, 5, 7, 8]] = [1, 2, 3, 4, 5, 6]
    mixture = Mixture([0.5, 0.5], means, 1.0, "tied_spherical")
    assert most_telling(mixture) == [1, 2, 4, 5, 7, 8]
    assert separation(mixture)[[0, 2]].tolist() == [0.0, 0.5]  # between: 0.5·1² + 0.5·1² = 1, within: 1


def test_the_emptiest_corner_is_in_the_units_of_the_axes():
    across, up = np.array([0.0, 1.0, 2.0, 3.0, 30.0]), np.array([0.0, 1.0, 2.0])
    values = np.ones((3, 5))
    values[2, 4] = -1.0
    assert emptiest_corner(across, up, values) == "upper right"


@pytest.mark.parametrize(("n", "most"), [(1, 5), (5, 5), (500, 60), (7, 2)])
def test_frames_keep_both_ends_and_their_number(n, most):
    chosen = chosen_iterations(n, most)
    assert chosen[0] == 0
    assert chosen[-1] == n - 1
    assert len(chosen) <= most
    assert chosen == sorted(set(chosen))


def test_rows_are_checked():
    assert all_rows(np.zeros((2, 1), dtype=np.float32), LINE).dtype == np.float32
    assert all_rows([[1], [2]], LINE).dtype == np.float64
    with pytest.raises(DataError, match="at least one row; there are none"):
        all_rows(np.zeros((0, 1)), LINE)
    for wrong in (np.zeros(3), np.zeros((3, 2))):
        with pytest.raises(DataError, match=r"\(N, 1\)"):
            all_rows(wrong, LINE)
    with pytest.raises(DataError, match="row 1, column 0"):
        all_rows([[0.0], [np.nan]], LINE)


@pytest.mark.parametrize(
    ("name", "label"), [("plain", "plain"), ("$x$", r"\$x\$"), ("a\nb\x1b", r"a\nb\x1b"), ("Länge", "Länge")]
)
def test_labels_are_names_letter_by_letter(name, label):
    assert label_of(name) == label


@pytest.mark.parametrize("n_features", [1, 2, 3, 8])
@pytest.mark.parametrize(
    ("places", "complaint"),
    [((1e308, 1e308), "too little"), ((1e17, 1e17), "too little"), ((-1.5e308, 1.5e308), "more than")],
)
def test_a_window_that_numbers_cannot_fill_is_refused(n_features, places, complaint):
    mixture = Mixture([0.5, 0.5], np.repeat([[place] for place in places], n_features, axis=1), [1.0, 1.0], "spherical")
    assert len(most_telling(mixture)) == min(6, n_features)
    with pytest.raises(InvalidParameterError, match=f"cannot be drawn: feature 0 extends .* {complaint}"):
        window(mixture, None, 2.0)


def test_separation_does_not_depend_on_units_at_the_ends_of_the_range():
    for unit in (1e-150, 1e150):
        scaled = Mixture(SPACE.weights, SPACE.means * unit, SPACE.covariances * unit**2)
        np.testing.assert_allclose(separation(scaled), separation(SPACE), rtol=1e-12)
