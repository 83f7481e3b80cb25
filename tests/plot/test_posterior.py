"""Pictures of posteriors show the numbers that they claim to show."""

import numpy as np
import pytest

import mixtura as mx

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def fitted(faithful):
    return mx.BayesianGaussianMixture(5, weight_concentration_prior=1e-3, random_state=0, max_iter=500).fit(faithful)


def test_weights_and_their_intervals(fitted):
    axes = mx.plot.weights(fitted, level=0.9)
    order = [int(label.get_text()) for label in axes.get_xticklabels()]
    heights = np.array([bar.get_height() for bar in axes.patches])
    np.testing.assert_allclose(heights, fitted.posterior_.weights.expectations[order], atol=5e-3)
    assert (np.diff(heights) <= 0).all()
    (lines,) = axes.collections
    segments = np.array(lines.get_segments())
    n = fitted.weight_concentration_[0][0] - 1  # the largest stick comes first: Beta(1 + n, α + rest)
    spread = np.sqrt(heights[0] * (1 - heights[0]) / 272)
    assert n == pytest.approx(272 * heights[0], abs=2)
    np.testing.assert_allclose(segments[0, :, 1], heights[0] + np.array([-1, 1]) * 1.645 * spread, atol=3e-3)
    assert axes.get_title() == "2 of 5 components hold rows"
    assert sum(text.get_text() == "empty" for text in axes.texts) == 3


def test_the_predictive_is_that_of_the_posterior(fitted, faithful):
    panels = mx.plot.predictive(fitted, faithful)
    assert [axes.get_xlabel() for axes in panels] == ["x0", "x1"]
    axes = mx.plot.predictive(fitted, features=1)
    line = next(line for line in axes.lines if line.get_label() == "predictive")
    places, density = line.get_data()
    single = mx.BayesianGaussianMixture(1, random_state=0).fit(faithful[:, 1:])
    line = next(line for line in mx.plot.predictive(single).lines if line.get_label() == "predictive")
    places, density = line.get_data()
    np.testing.assert_allclose(density, np.exp(single.score_samples(places[:, None])), atol=0.02 * density.max())
    assert np.trapezoid(density, places) == pytest.approx(1, abs=5e-3)


def test_the_band_holds_its_share_of_the_draws(fitted):
    wide, narrow = (mx.plot.predictive(fitted, features=0, level=level).collections[0] for level in (0.95, 0.5))
    heights = [path.get_paths()[0].get_extents().height for path in (wide, narrow)]
    assert heights[0] > heights[1] > 0


def test_losses_are_drawn_where_there_are_any(faithful):
    gm = mx.BayesianGaussianMixture(2, solver=mx.Svi(20), random_state=0, tol=1.0).fit(faithful)
    axes = mx.plot.trace(gm)
    assert axes.get_ylabel() == "loss per row"
    assert axes.lines[0].get_ydata().tolist() == gm.losses_
    assert len(axes.lines[1].get_ydata()) < len(gm.losses_)


def test_what_has_no_posterior_is_said(faithful):
    gm = mx.GaussianMixture(2, random_state=0).fit(faithful)
    for picture in (mx.plot.weights, mx.plot.predictive):
        with pytest.raises(ValueError, match="fitted estimator with a posterior"):
            picture(gm)
    for level in (0, 1, 2):
        with pytest.raises(ValueError, match="level must lie"):
            mx.plot.weights(gm, level=level)
