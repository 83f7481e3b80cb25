"""Pictures of draws show the draws: traces, marginals after relabelling, the number of filled components."""

import sys
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm

matplotlib = pytest.importorskip("matplotlib")

import mixtura as mx  # noqa: E402
from mixtura.assess.draws.convergence import r_hat  # noqa: E402
from mixtura.assess.draws.relabelling import LabelSwitchingError, Relabelling  # noqa: E402
from mixtura.model.covariance import STRUCTURES, covariance_structure  # noqa: E402
from mixtura.model.draws import Draws  # noqa: E402
from mixtura.plot.palette import INK, PALETTE  # noqa: E402
from mixtura.plot.sampled import bandwidth, quantities, silhouette  # noqa: E402


def fitted(
    n_components: int = 2,
    n_features: int = 2,
    structure: str = "diag",
    *,
    n_chains: int = 3,
    n_draws: int = 40,
    names: tuple[str, ...] | None = None,
    seed: int = 0,
) -> SimpleNamespace:
    """What sampling leaves behind, with made-up draws that agree."""
    rng = np.random.default_rng(seed)
    family = covariance_structure(structure)
    shape = family.shape(n_components, n_features)
    scale = rng.gamma(50, 1 / 50, (n_chains, n_draws, *(1 for _ in shape)))
    natural = {"full": np.tile(np.eye(n_features), (n_components, 1, 1)), "tied": np.eye(n_features)}
    ones = natural.get(structure, np.ones(shape))
    centres = 10.0 * np.arange(n_components)[:, None] + np.arange(n_features)
    means = centres + 0.1 * rng.normal(size=(n_chains, n_draws, n_components, n_features))
    weights = rng.dirichlet(np.full(n_components, 30.0), (n_chains, n_draws))
    point = mx.Mixture(np.full(n_components, 1 / n_components), centres, ones, structure)
    return SimpleNamespace(
        draws_=Draws(family, weights, means, scale * ones),
        mixture_=point.with_feature_names(names),
        log_posterior_=rng.normal(-300, 3, (n_chains, n_draws)),
    )


def relabelled(model: SimpleNamespace, draws: Draws, rate: float) -> SimpleNamespace:
    """The same with a relabelling of some draws, which fails at that rate."""
    orders = np.zeros(draws.weights.shape, np.intp)
    return SimpleNamespace(**vars(model), relabelling_=Relabelling(draws, orders, "ecr", rate, 0.0))


def titles(grid: np.ndarray) -> list[str]:
    return [left.get_title(loc="left") for left, _ in grid]


@pytest.fixture(autouse=True)
def nothing_global_changes() -> Iterator[None]:
    before = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == before
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


# ---- names of quantities -------------------------------------------------------------------------------------------------------

DEVIATIONS = {
    "full": {
        "standard deviation 0, a",
        "standard deviation 0, b",
        "standard deviation 1, a",
        "standard deviation 1, b",
    },
    "tied": {"standard deviation, a", "standard deviation, b"},
    "spherical": {"standard deviation 0", "standard deviation 1"},
    "tied_spherical": {"standard deviation"},
}
DEVIATIONS |= {"diag": DEVIATIONS["full"], "tied_diag": DEVIATIONS["tied"]}


@pytest.mark.parametrize("structure", [s.name for s in STRUCTURES])
def test_every_parameter_is_there_once_under_its_name(structure: str) -> None:
    model = fitted(structure=structure, names=("a", "b"))
    found = quantities(model)
    assert list(found)[:3] == ["log posterior", "weight 0", "weight 1"]
    assert {name for name in found if name.startswith("standard")} == DEVIATIONS[structure]
    assert {name for name in found if name.startswith("mean")} == {"mean 0, a", "mean 0, b", "mean 1, a", "mean 1, b"}
    draws: Draws = model.draws_
    assert np.array_equal(found["log posterior"], model.log_posterior_)
    assert np.array_equal(found["weight 1"], draws.weights[:, :, 1])
    assert np.array_equal(found["mean 1, a"], draws.means[:, :, 1, 0])
    last = list(found)[-1]
    assert found[last] == pytest.approx(np.sqrt(draws.covariance_matrices[:, :, -1, -1, -1]))


@pytest.mark.parametrize(("names", "mean"), [(None, "mean 0"), (("velocity",), "mean 0, velocity")])
def test_a_single_feature_needs_no_name_and_a_single_component_no_weight(
    names: tuple[str, ...] | None, mean: str
) -> None:
    assert list(quantities(fitted(1, 1, names=names)))[:2] == ["log posterior", mean]


def test_where_components_have_no_names_there_are_weights_by_size() -> None:
    model = fitted(3)
    model.sample_stats_ = {"n_filled": np.random.default_rng(0).integers(1, 4, model.log_posterior_.shape)}
    others = fitted(3, n_chains=1, seed=1).draws_
    for lost in (relabelled(model, model.draws_, 0.5), relabelled(model, others, 0.0)):
        found = quantities(lost)
        expected = ["log posterior", "filled components", "weight 1 by size", "weight 2 by size", "weight 3 by size"]
        assert list(found) == expected
        by_size = np.stack([found[f"weight {k} by size"] for k in (1, 2, 3)], axis=-1)
        assert np.array_equal(np.sort(lost.draws_.weights, axis=2), by_size[..., ::-1])
        assert "components cannot be followed" in mx.plot.chains(lost)[-1, 0].get_xlabel()
    kept = relabelled(model, model.draws_, 0.05)
    assert "weight 0" in quantities(kept)


# ---- chains --------------------------------------------------------------------------------------------------------------------


def test_a_row_for_each_quantity_and_a_line_for_each_chain() -> None:
    model = fitted()
    grid = mx.plot.chains(model)
    found = quantities(model)
    assert titles(grid) == list(found)
    for (left, right), values in zip(grid, found.values(), strict=True):
        assert np.array_equal([line.get_ydata() for line in left.lines], values)
        assert len(right.lines) == 3
        assert right.get_ylim() == left.get_ylim()
        width = np.mean([bandwidth(own) for own in values])
        for line, own in zip(right.lines, values, strict=True):
            places, heights = silhouette(own, width=width)
            assert np.array_equal(line.get_xydata(), np.stack([heights, places], axis=1))
        assert right.get_title(loc="right").endswith(f" {r_hat(values):.3f}")
    legend = [text.get_text() for text in grid[0, 0].get_legend().get_texts()]
    assert legend == ["chain 0", "chain 1", "chain 2"]
    assert grid._repr_png_().startswith(b"\x89PNG")


def test_chains_that_disagree_stand_out() -> None:
    model = fitted()
    model.draws_.means[2, :, 1, 0] += 1.0
    grid = mx.plot.chains(model, parameters=["mean 0, x0", "mean 1, x0"])
    alike, apart = (right._right_title for _, right in grid)
    assert matplotlib.colors.to_rgb(alike.get_color()) == matplotlib.colors.to_rgb(INK)
    assert matplotlib.colors.to_rgb(apart.get_color()) == pytest.approx(PALETTE[1])
    assert float(apart.get_text().split()[-1]) > 1.1
    assert [line.get_color() for line in grid[1, 0].lines] == [line.get_color() for line in grid[1, 1].lines]


def test_of_many_quantities_those_are_shown_on_which_chains_agree_least() -> None:
    model = fitted(4, 5, n_draws=60)
    model.draws_.means[0, :, 3, 4] += 5.0
    model.draws_.weights[1, :, 2] += 0.3
    grid = mx.plot.chains(model)
    found = quantities(model)
    shown = titles(grid)
    assert len(shown) == 12
    assert shown[0] == "log posterior"
    assert {"mean 3, x4", "weight 2"} < set(shown)
    least = min(r_hat(found[name]) for name in shown[1:])
    assert all(r_hat(found[name]) <= least for name in set(found) - set(shown))
    assert [name for name in found if name in shown] == shown
    assert f"12 of {len(found)} quantities" in grid[-1, 0].get_xlabel()


def test_what_is_not_finite_comes_first_and_can_be_drawn() -> None:
    """NaN has no R̂ to be sorted by: without care, where it stands among the others is anybody's guess."""
    model = fitted(4, 5, n_draws=60)
    model.draws_.means[0, 3, 3, 4] = np.nan
    model.draws_.means[1, :, 2, 1] = np.nan
    model.draws_.means[2, 7, 1, 3] = np.inf
    grid = mx.plot.chains(model)
    shown = titles(grid)
    assert {"mean 3, x4", "mean 2, x1"} < set(shown)
    (row,) = mx.plot.chains(model, parameters="mean 2, x1")
    assert len(row[1].lines) == 2  # of three chains
    assert row[1].get_title(loc="right").endswith("nan")


def test_long_chains_are_thinned_and_that_is_said() -> None:
    model = fitted(1, 1, n_draws=5001)
    (row,) = mx.plot.chains(model, parameters="mean")
    line = row[0].lines[0]
    assert np.array_equal(line.get_xdata(), np.arange(0, 5001, 3))
    assert np.array_equal(line.get_ydata(), model.draws_.means[0, ::3, 0, 0])
    assert row[0].get_xlabel() == "draw, 1 in 3 shown"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("mean 1", ["mean 1, x0", "mean 1, x1"]),
        (["mean 10, x1", "weight 1"], ["mean 10, x1", "weight 1"]),
        (["mean 2, x0", "mean 2"], ["mean 2, x0", "mean 2, x1"]),
        ("log posterior", ["log posterior"]),
    ],
)
def test_quantities_are_chosen_by_name_or_first_words(wanted: str | list[str], expected: list[str]) -> None:
    assert titles(mx.plot.chains(fitted(11), parameters=wanted)) == expected


@pytest.mark.parametrize("wanted", ["mea", "mean 2", [], ["weight 0", "x0"]])
def test_a_quantity_that_is_not_there_is_said(wanted: str | list[str]) -> None:
    with pytest.raises(mx.InvalidParameterError, match="parameters must"):
        mx.plot.chains(fitted(), parameters=wanted)


def test_one_short_chain_can_be_drawn() -> None:
    grid = mx.plot.chains(fitted(n_chains=1, n_draws=1))
    assert grid[-1, 0].get_xlabel() == "draw of 1 chain"
    assert all(right.get_title(loc="right") == "" for _, right in grid)
    assert len(mx.plot.chains(fitted(5, 3, n_draws=3))) == 12


def test_chains_draw_on_given_axes() -> None:
    given = matplotlib.figure.Figure().subplots(2, 2)
    assert mx.plot.chains(fitted(), parameters="weight", ax=given)[1, 1] is given[1, 1]
    with pytest.raises(mx.InvalidParameterError, match=r"\(2, 2\) array of Axes, a row for each quantity"):
        mx.plot.chains(fitted(), parameters="weight", ax=given[0])


# ---- curves --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("low", "high"), [(-np.inf, np.inf), (0.0, np.inf), (0.0, 1.0)])
def test_a_curve_is_a_sum_of_kernels_reflected_at_the_ends(low: float, high: float) -> None:
    values = np.random.default_rng(0).beta(1.0, 2.0, 400)
    ordered = np.sort(values)
    shortest = min(ordered[i + 100] - ordered[i] for i in range(300)) / (2 * norm.ppf(0.625))
    width = 1.06 * min(values.std(), shortest) * 400**-0.2
    assert bandwidth(values) == pytest.approx(width, rel=1e-3)
    places, heights = silhouette(values, low, high)
    images = [values, *(2 * end - values for end in (low, high) if np.isfinite(end))]
    expected = sum(norm.pdf(places[:, None], own, width).sum(axis=1) for own in images)
    assert heights == pytest.approx(expected / expected.max(), abs=2e-3)
    wide = sum(norm.pdf(places[:, None], own, 3 * width).sum(axis=1) for own in images)
    at = np.interp(places, *silhouette(values, low, high, 3 * width))
    assert at == pytest.approx(wide / wide.max(), abs=5e-3)
    assert max(low, places[0]) == places[0]
    assert min(high, places[-1]) == places[-1]


def test_the_curve_of_a_normal_is_the_normal() -> None:
    places, heights = silhouette(norm.ppf((np.arange(4000) + 0.5) / 4000, 3.0, 0.2))
    assert heights == pytest.approx(np.exp(-0.5 * ((places - 3.0) / 0.2) ** 2), abs=0.03)


def test_far_modes_are_not_smeared() -> None:
    rng = np.random.default_rng(0)
    places, heights = silhouette(np.concatenate([rng.normal(0.0, 1.0, 1000), rng.normal(30.0, 1.0, 1000)]))
    assert heights[(places > 6) & (places < 24)].max() < 0.01
    assert heights[(places > -1) & (places < 1)].min() > 0.4


def test_draws_that_stand_still_are_a_spike() -> None:
    assert [part.tolist() for part in silhouette(np.full(9, 2.5))] == [[2.5, 2.5], [0.0, 1.0]]
    assert silhouette(np.array([1.0, 1.0 + 1e-15, 1.0]))[0].tolist() == [1.0, 1.0]
    places, heights = silhouette(np.append(np.zeros(99), 1.0))
    assert abs(places[heights.argmax()]) < 0.01


# ---- marginals -----------------------------------------------------------------------------------------------------------------


def test_each_parameter_has_its_density_and_its_point() -> None:
    model = fitted(n_draws=200, names=("length", "width"))
    grid = mx.plot.parameters(model)
    assert [axes.get_xlabel() for axes in grid.ravel()] == [
        "weight",
        "",
        *("mean, length", "standard deviation, length", "mean, width", "standard deviation, width"),
    ]
    draws, point = model.draws_, model.mixture_
    expected = {
        (0, 0): (draws.weights, point.weights, (0.0, 1.0)),
        (1, 0): (draws.means[..., 0], point.means[:, 0], (-np.inf, np.inf)),
        (2, 1): (np.sqrt(draws.variances[..., 1]), np.ones(2), (0.0, np.inf)),
    }
    for place, (values, points, limits) in expected.items():
        lines = grid[place].lines
        for k in range(2):
            curve, mark = lines[2 * k : 2 * k + 2]
            assert np.array_equal(curve.get_data(), silhouette(values[:, :, k].ravel(), *limits))
            assert np.array_equal(mark.get_xdata(), [points[k], points[k]])
            for line in (curve, mark):
                assert matplotlib.colors.to_rgb(line.get_color()) == pytest.approx(PALETTE[k])
    legend = grid[0, 1].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["component 0", "component 1"]
    assert legend.get_title().get_text().startswith("densities of 600 draws,")


@pytest.mark.parametrize("structure", ["tied", "tied_diag", "tied_spherical"])
def test_a_shared_covariance_has_one_curve_in_no_components_colour(structure: str) -> None:
    grid = mx.plot.parameters(fitted(3, structure=structure))
    curve, mark = grid[1, 1].lines
    assert curve.get_color() == mark.get_color() == INK
    assert grid[1, 1].get_xlabel() == "standard deviation, x0, of all components"


def test_marginals_are_those_of_the_relabelled_draws_and_refused_where_labels_are_lost() -> None:
    model, some = fitted(), fitted(n_chains=1, n_draws=25, seed=3).draws_
    grid = mx.plot.parameters(relabelled(model, some, 0.0))
    assert np.array_equal(grid[0, 0].lines[0].get_data(), silhouette(some.weights[0, :, 0], 0.0, 1.0))
    assert "25 of 120 draws" in grid[0, 1].get_legend().get_title().get_text()
    with pytest.raises(LabelSwitchingError, match="cannot be told apart"):
        mx.plot.parameters(relabelled(model, model.draws_, 0.2))


@pytest.mark.parametrize(("n_components", "n_features", "n_rows"), [(1, 1, 2), (3, 1, 2), (14, 8, 7)])
def test_marginals_of_any_size(n_components: int, n_features: int, n_rows: int) -> None:
    grid = mx.plot.parameters(fitted(n_components, n_features))
    assert grid.shape == (n_rows, 2)
    assert [len(axes.lines) for axes in grid[1]] == [2 * n_components] * 2


def test_marginals_of_chosen_features_on_given_axes() -> None:
    given = matplotlib.figure.Figure().subplots(2, 2)
    grid = mx.plot.parameters(fitted(2, 3), features="x2", ax=given)
    assert grid[1, 0] is given[1, 0]
    assert grid[1, 0].get_xlabel() == "mean, x2"
    with pytest.raises(mx.InvalidParameterError, match=r"\(4, 2\) array of Axes, a row for the weights"):
        mx.plot.parameters(fitted(2, 3), ax=given)


# ---- number of components ------------------------------------------------------------------------------------------------------


def bars(axes: object) -> dict[str, dict[float, float]]:
    """Heights by number, for each law."""
    return {
        group.get_label(): {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in group}
        for group in axes.containers
    }


def test_bars_are_the_probabilities_beside_those_of_the_prior() -> None:
    posterior, prior = [0.0, 0.0, 0.6, 0.3, 0.1], [0.0, 0.4, 0.3, 0.2, 0.08, 0.015, 0.005]
    axes = mx.plot.n_components(SimpleNamespace(n_components_posterior_=posterior, n_components_prior_=prior))
    assert bars(axes) == {
        "posterior": {1: 0.0, 2: 0.6, 3: 0.3, 4: 0.1},
        "prior": {1: 0.4, 2: 0.3, 3: 0.2, 4: 0.08, 5: 0.015},
    }
    assert axes.get_title() == "most probable: 2 (60 %)"
    assert axes.get_xticks().tolist() == [1, 2, 3, 4, 5]
    left, right = ([bar.get_x() for bar in group] for group in axes.containers)
    assert all(first < second for first, second in zip(left, right, strict=False))


def test_what_lies_beyond_the_picture_is_said() -> None:
    posterior, prior = np.eye(101)[3], np.append(0.0, np.full(100, 0.01))
    axes = mx.plot.n_components(SimpleNamespace(n_components_posterior_=posterior, n_components_prior_=prior))
    assert list(bars(axes)) == ["posterior", "prior (70 % beyond 30)"]


@pytest.mark.parametrize("prior", [{}, {"n_components_prior_": None}])
def test_there_may_be_no_prior(prior: dict[str, None]) -> None:
    given = matplotlib.figure.Figure().add_subplot()
    model = SimpleNamespace(n_components_posterior_=np.array([0.0, 1.0]), **prior)
    assert mx.plot.n_components(model, ax=given) is given
    assert bars(given) == {"posterior": {1: 1.0}}
    assert given.get_legend() is None


@pytest.mark.parametrize("draw", [mx.plot.chains, mx.plot.parameters, mx.plot.n_components, mx.plot.coclustering])
def test_what_was_not_sampled_is_refused(draw: object, faithful: np.ndarray) -> None:
    variational = mx.BayesianGaussianMixture(2, random_state=0, max_iter=500).fit(faithful)
    for model in (mx.BayesianGaussianMixture(2), variational, variational.mixture_):
        with pytest.raises(mx.InvalidParameterError, match=r"fitted by sampling.*SampledGaussianMixture"):
            draw(model)
