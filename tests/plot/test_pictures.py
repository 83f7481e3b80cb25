"""What is drawn: axes come back, carry the right numbers, and nothing global changes."""

import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")

import mixtura as mx  # noqa: E402
from mixtura.plot.palette import PALETTE, blended  # noqa: E402
from mixtura.plot.regions import ellipse  # noqa: E402
from mixtura.plot.subject import marginal  # noqa: E402


def blobs(n_features: int, n_components: int = 3) -> mx.Mixture:
    rng = np.random.default_rng(n_features)
    means = 5.0 * rng.standard_normal((n_components, n_features))
    variances = rng.uniform(0.5, 2.0, (n_components, n_features))
    return mx.Mixture(np.full(n_components, 1 / n_components), means, variances, "diag")


def rows(mixture: mx.Mixture, n: int = 150) -> np.ndarray:
    return mixture.sample(n, random_state=0)[0]


def candidate(covariance_type, n_components, bic, error=None):
    criteria = None if bic is None else SimpleNamespace(bic=bic, aic=None, icl=bic)
    return SimpleNamespace(
        covariance_type=covariance_type, n_components=n_components, criteria=criteria, error=error, sound=error is None
    )


FULL = [candidate("full", 1, 30.0), candidate("full", 2, 10.0), candidate("full", 3, None, "collapsed")]
SEARCH = SimpleNamespace(candidates=(*FULL, candidate("diag", 1, 31.0), candidate("diag", 2, 12.0)), best=FULL[1])


@pytest.fixture(scope="module")
def fitted():
    X = rows(blobs(2, 2), 200)
    return mx.GaussianMixture(2, random_state=0).fit(X)


@pytest.fixture
def ax():
    return matplotlib.figure.Figure().add_subplot()


@pytest.fixture(autouse=True)
def nothing_global_changes():
    before = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == before
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


def saved(axes) -> bytes:
    buffer = io.BytesIO()
    axes.figure.savefig(buffer, format="png")
    return buffer.getvalue()


@pytest.mark.parametrize("with_rows", [True, False])
@pytest.mark.parametrize("draw", [mx.plot.density, mx.plot.components])
@pytest.mark.parametrize("n_features", [1, 2])
def test_a_picture_returns_axes_that_can_be_saved(draw, n_features, with_rows):
    mixture = blobs(n_features)
    axes = draw(mixture, rows(mixture) if with_rows else None)
    assert isinstance(axes, matplotlib.axes.Axes)
    assert len(saved(axes)) > 5000


@pytest.mark.parametrize("draw", [mx.plot.density, mx.plot.components])
@pytest.mark.parametrize("features", [[1], [2, 0], ["x1", "x2"]])
def test_features_choose_a_marginal(draw, features, ax):
    mixture = blobs(3)
    assert draw(mixture, rows(mixture), features=features, ax=ax) is ax
    assert ax.get_xlabel() == f"x{features[0]}".replace("xx", "x")


def test_a_pairs_grid_is_an_array_of_axes():
    mixture = blobs(4)
    grid = mx.plot.components(mixture, rows(mixture))
    assert grid.shape == (4, 4)
    assert [axes.get_xlabel() for axes in grid[3]] == ["x0", "x1", "x2", "x3"]
    assert not any(grid[i, j].has_data() for i in range(4) for j in range(i + 1, 4))
    pair = marginal(mixture, [1, 3])
    outline = ellipse(pair.means[2], pair.covariances[2], 2.0)
    assert any(np.allclose(line.get_xydata(), outline) for line in grid[3, 1].lines)
    assert len(saved(grid[0, 0])) > 5000


def test_a_pairs_grid_draws_on_given_axes():
    mixture = blobs(3)
    given = matplotlib.figure.Figure().subplots(3, 3)
    assert mx.plot.components(mixture, ax=given)[2, 0] is given[2, 0]
    with pytest.raises(mx.InvalidParameterError, match=r"\(3, 3\) array"):
        mx.plot.components(mixture, ax=given[0, 0])


def test_many_features_show_six():
    mixture = blobs(30)
    assert mx.plot.components(mixture, rows(mixture)).shape == (6, 6)


def test_ellipses_and_points_are_drawn_where_the_numbers_say(ax):
    mixture = blobs(2)
    X = rows(mixture)
    mx.plot.components(mixture, X, ax=ax)
    lines = [line.get_xydata() for line in ax.lines]
    for mean, covariance in zip(mixture.means, mixture.covariance_matrices, strict=True):
        for radius in (1.0, 2.0):
            assert any(np.allclose(line, ellipse(mean, covariance, radius)) for line in lines)
    (points,) = [c for c in ax.collections if len(c.get_offsets()) == len(X)]
    assert np.allclose(points.get_offsets(), X)
    assert np.allclose(points.get_facecolors()[:, :3], blended(mixture.responsibilities(X)))


def test_curves_are_the_weighted_densities_and_their_sum(ax):
    mixture = blobs(1)
    mx.plot.components(mixture, ax=ax)
    curves = {line.get_label(): line.get_xydata() for line in ax.lines}
    x, total = curves.pop("sum").T
    assert total == pytest.approx(mixture.pdf(x[:, None]))
    assert sum(y for _, y in (curve.T for curve in curves.values())) == pytest.approx(total)
    areas = [np.trapezoid(y, x) for x, y in (curve.T for curve in curves.values())]
    assert areas == pytest.approx(mixture.weights.tolist(), abs=1e-3)
    assert np.allclose(matplotlib.colors.to_rgb(ax.lines[0].get_color()), PALETTE[0])


def test_the_density_curve_is_the_density_over_a_histogram_of_unit_area(ax):
    mixture = blobs(1)
    mx.plot.density(mixture, rows(mixture), ax=ax)
    (curve,) = ax.lines
    x, y = curve.get_data()
    assert y == pytest.approx(mixture.pdf(x[:, None]))
    assert np.trapezoid(y, x) == pytest.approx(1.0, abs=2e-3)


def test_regions_are_labelled_by_their_mass(ax):
    mx.plot.density(blobs(2), mass=(0.25, 0.9), ax=ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["25 %", "90 %"]


def test_many_rows_are_thinned_rasterised_and_remarked(ax):
    mixture = blobs(2)
    mx.plot.components(mixture, rows(mixture, 20_000), ax=ax)
    (points,) = [c for c in ax.collections if len(c.get_offsets()) > 1]
    assert len(points.get_offsets()) == 5000
    assert points.get_rasterized()
    assert "5,000 of 20,000" in ax.get_title()


@pytest.mark.parametrize(("n_components", "n_features"), [(1, 1), (1, 2), (1, 3), (12, 1), (12, 2), (20, 2), (20, 3)])
def test_any_number_of_components(n_components, n_features):
    mixture = blobs(n_features, n_components)
    assert len(saved(mx.plot.picture(mixture, rows(mixture)).axes[0])) > 5000


def test_a_component_without_weight_is_left_out(ax):
    mixture = mx.Mixture([1.0, 0.0], [[0.0, 0.0], [99.0, 99.0]], 1.0, "EII")
    mx.plot.components(mixture, ax=ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["component 0: 100 %"]


@pytest.mark.parametrize("n_features", [1, 2])
def test_one_row_or_equal_rows_can_be_shown(n_features):
    mixture = blobs(n_features)
    for X in (np.ones((1, n_features)), np.ones((4, n_features))):
        saved(mx.plot.density(mixture, X))
        saved(mx.plot.components(mixture, X))


@pytest.mark.parametrize(("n_features", "n_axes"), [(1, 1), (2, 2), (4, 16), (8, 36)])
def test_the_overview_is_a_figure(n_features, n_axes):
    mixture = blobs(n_features)
    figure = mx.plot.picture(mixture, rows(mixture))
    assert isinstance(figure, matplotlib.figure.Figure)
    assert len(figure.axes) == n_axes


def test_the_panels_of_the_overview_share_a_window():
    mixture = blobs(2)
    left, right = mx.plot.picture(mixture, rows(mixture)).axes
    assert (left.get_xlim(), left.get_ylim()) == (right.get_xlim(), right.get_ylim())


def test_a_trace_shows_the_bounds_of_the_best_run(fitted, ax):
    assert mx.plot.trace(fitted, ax=ax) is ax
    (line,) = ax.lines
    assert line.get_ydata().tolist() == list(fitted.restarts_.best.bounds)
    assert line.get_xdata().tolist() == list(range(len(fitted.restarts_.best.bounds)))
    assert ax.get_ylabel() == "log-likelihood"
    assert ax.get_title() == fitted.restarts_.best.stop.sentence
    assert len(saved(mx.plot.trace(fitted))) > 5000


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"covariance_prior": "empirical"}, "log-likelihood + log prior"),
        ({"assignment": "hard"}, "complete log-likelihood"),
    ],
)
def test_a_trace_names_what_was_climbed(settings, name):
    gm = mx.GaussianMixture(2, random_state=0, **settings).fit(rows(blobs(2, 2)))
    assert mx.plot.trace(gm).get_ylabel() == name


def test_a_criterion_is_a_line_for_each_structure_with_gaps_and_the_best_marked(ax):
    assert mx.plot.criterion(SEARCH, ax=ax) is ax
    lines = {line.get_label(): line for line in ax.lines}
    assert list(lines) == ["full", "diag", "best: full, K = 2"]
    assert np.array_equal(lines["full"].get_ydata(), [30.0, 10.0, np.nan], equal_nan=True)
    assert lines["diag"].get_xydata().tolist() == [[1, 31.0], [2, 12.0]]
    assert lines["best: full, K = 2"].get_xydata().tolist() == [[2, 10.0]]
    assert ax.get_ylabel() == "BIC (lower is better)"
    assert len(saved(mx.plot.criterion(SEARCH))) > 5000


def test_a_choice_that_is_not_the_lowest_is_not_called_best(ax):
    other = SimpleNamespace(candidates=SEARCH.candidates, best=SEARCH.candidates[0])
    mx.plot.criterion(other, criterion="icl", ax=ax)
    assert ax.lines[-1].get_label() == "chosen: full, K = 1"


def test_a_collapsed_candidate_leaves_a_gap(ax):
    collapsed = candidate("full", 2, -1e9)
    collapsed.sound = False
    mx.plot.criterion(SimpleNamespace(candidates=(FULL[0], collapsed), best=FULL[0]), ax=ax)
    assert np.array_equal(ax.lines[0].get_ydata(), [30.0, np.nan], equal_nan=True)


def test_a_search_can_be_drawn():
    found = mx.GaussianMixtureSearch([1, 2, 3], random_state=0).fit(rows(blobs(2)))
    axes = mx.plot.criterion(found)
    assert axes.lines[0].get_ydata().tolist() == [c.criteria.bic for c in found.search_.candidates]


def test_criterion_errors():
    with pytest.raises(mx.InvalidParameterError, match="bic, aic, icl"):
        mx.plot.criterion(SEARCH, criterion="loo")
    with pytest.raises(mx.InvalidParameterError, match="no candidate of the search has a value of AIC"):
        mx.plot.criterion(SEARCH, criterion="aic")


@pytest.mark.parametrize("draw", [mx.plot.density, mx.plot.components, mx.plot.trace])
def test_an_unfitted_model_is_refused(draw):
    with pytest.raises(mx.InvalidParameterError, match="fit"):
        draw(mx.GaussianMixture(2))


def test_a_mixture_has_no_climb():
    with pytest.raises(mx.InvalidParameterError, match="does not know how it was found"):
        mx.plot.trace(blobs(2))


def test_a_density_in_many_dimensions_names_what_to_do():
    with pytest.raises(mx.InvalidParameterError, match=r"features=\(0, 1\).*components"):
        mx.plot.density(blobs(3))
    with pytest.raises(mx.InvalidParameterError, match="one or two features"):
        mx.plot.density(blobs(3), features=[0, 1, 2])


@pytest.mark.parametrize("draw", [mx.plot.density, mx.plot.components, mx.plot.picture])
def test_data_of_another_width_are_refused(draw):
    with pytest.raises(mx.DataError, match=r"\(N, 2\)"):
        draw(blobs(2), np.zeros((5, 3)))


def test_what_is_returned_shows_itself_in_a_notebook(ax):
    mixture = blobs(3)
    grid = mx.plot.components(mixture)
    one = mx.plot.components(mixture, features=[0, 1])
    for shown in (grid, one, mx.plot.picture(mixture, rows(mixture))):
        assert shown._repr_png_().startswith(b"\x89PNG")
    given = mx.plot.density(mixture, features=0, ax=ax)
    assert not hasattr(given, "_repr_png_")  # the user's own axes stay as they are


def test_feature_names_label_the_axes(ax):
    mixture = blobs(2).with_feature_names(["length", "width"])
    mx.plot.density(mixture, ax=ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("length", "width")


def test_the_formats_are_those_that_figures_can_be_saved_in():
    from mixtura.plot._matplotlib import picture_formats

    assert {"png", "pdf", "svg"} <= set(picture_formats())


def test_the_trace_of_a_variational_fit_is_its_bound():
    gm = mx.BayesianGaussianMixture(2, random_state=0, max_iter=500).fit(np.random.default_rng(0).normal(size=(60, 1)))
    axes = mx.plot.trace(gm)
    assert axes.get_ylabel() == "evidence lower bound"
    assert tuple(axes.lines[0].get_ydata()) == gm.restarts_.best.bounds


@pytest.mark.parametrize(
    "names", [["$\\frac{$", "$y$"], ["a\x1b]0;title\x07", "b\n"], ["^_{}\\", "%"], ["_hidden", "x" * 300]]
)
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_any_name_is_drawn_as_it_is(names, ending):
    figure = mx.plot.picture(blobs(2).with_feature_names(names))
    figure.savefig(io.BytesIO(), format=ending)
