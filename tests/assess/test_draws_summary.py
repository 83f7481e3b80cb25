"""What is said of draws: numbers that are those of the draws, plain values that outlive them, and text that fits."""

import json

import numpy as np
import pytest

import mixtura as mx
from mixtura.assess.draws.chains import judge
from mixtura.assess.draws.draws_summary import describe_draws, draws_facts
from mixtura.data.array import ArraySource
from mixtura.inference.sampling.posterior_sample import PosteriorSample
from mixtura.model.covariance import covariance_structure
from mixtura.model.draws import Draws

CENTRES = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
X = np.repeat(CENTRES, 20, axis=0) + np.random.default_rng(9).normal(size=(60, 2))


def chains_of(n_components=3, lost=False, structure="full", seed=0, **settings):
    """Judged chains about the centres; ``lost``: the last component is now a double of the first, and now of the second."""
    rng, shape, k = np.random.default_rng(seed), (3, 60), n_components
    factors = rng.normal(size=(*shape, k, 2, 60))
    matrices = (factors @ factors.swapaxes(-1, -2) / 60).reshape(-1, k, 2, 2)
    family = covariance_structure(structure)
    covariances = np.array([family.from_matrices(own, np.ones(k)) for own in matrices])
    means = CENTRES[:k] + 0.2 * rng.normal(size=(*shape, k, 2))
    if lost:
        means[:, :, -1] = np.where(rng.random((*shape, 1)) < 0.5, means[:, :, 0], means[:, :, 1])
        means[:, :, -1] += rng.normal(size=(*shape, 2))
    draws = Draws(
        family,
        rng.dirichlet(np.arange(1, k + 1) * 20.0, shape),
        means,
        covariances.reshape(*shape, *covariances.shape[1:]),
    )
    rows = X[:40] if lost else X[: 20 * k]
    heights = draws.log_pdfs(rows).sum(axis=2)
    return judge(
        PosteriorSample(draws, heights, heights, {"lp": heights}, False, None),
        ArraySource(rows),
        method="ecr",
        **settings,
    )


def kept(chains, **settings):
    """As a model file keeps it."""
    return json.loads(json.dumps(draws_facts(chains, **settings), allow_nan=False))


@pytest.mark.parametrize("structure", ["full", "tied", "spherical"])
def test_each_component_has_estimates_and_intervals(structure):
    chains = chains_of(structure=structure)
    draws, order = chains.relabelling.draws, [2, 0, 1]
    found = kept(chains, order=order, level=0.5)["components"]
    deviations = np.sqrt(draws.variances)
    for name, values in (("weights", draws.weights), ("means", draws.means), ("scales", deviations)):
        expected = [values.mean(axis=(0, 1)), *np.quantile(values, [0.25, 0.75], axis=(0, 1))]
        np.testing.assert_allclose(found[name], np.array(expected)[:, order], rtol=1e-12)
    assert found["draws"] == 180
    np.testing.assert_allclose(found["weights"][0], chains.point.weights[order])


def test_the_whole_has_a_mean_and_a_scale():
    chains = chains_of()
    found, one = kept(chains)["overall"], chains.draws.mixture(1, 7)
    mean = one.weights @ one.means
    scale = np.sqrt(one.weights @ (one.variances + (one.means - mean) ** 2))
    flat = Draws(
        one.structure, *(getattr(chains.draws, part)[1:2, 7:8] for part in ("weights", "means", "covariances"))
    )
    repeated = Draws(
        flat.structure, *(np.repeat(part, 4, axis=1) for part in (flat.weights, flat.means, flat.covariances))
    )
    alone = judge(
        PosteriorSample(repeated, np.zeros((1, 4)), np.zeros((1, 4)), {}, False, None), ArraySource(X), method="ecr"
    )
    np.testing.assert_allclose(kept(alone)["overall"]["mean"], [mean] * 3)
    np.testing.assert_allclose(kept(alone)["overall"]["scale"], [scale] * 3)
    assert found["mean"][1] < found["mean"][0] < found["mean"][2]


def test_text_where_labels_are_straight():
    chains = chains_of()
    text = describe_draws(kept(chains), ["height", "width"])
    lines = text.split("\n")
    assert lines[0].startswith("Chains          3 chains agree") or "Do not trust" in lines[0]
    assert "Worst: " in text
    assert "With rows       3 components (100 %)" in lines
    assert "Components, with 95 % intervals; scales are standard deviations" in lines
    weights = [f"{value:.3f} (" for value in chains.point.weights]
    assert all(any(line.startswith(f"  {k} ") and weight in line for line in lines) for k, weight in enumerate(weights))
    assert "mean of height" in text
    assert "scale of width" in text
    assert "Agreement" not in text
    assert chains.diagnostics.table().split("\n")[3] in describe_draws(kept(chains), verbose=True)


def test_text_where_labels_fail():
    chains = chains_of(lost=True)
    found = kept(chains)
    assert "components" not in found
    text = describe_draws(found, ["height", "width"])
    assert f"In {chains.relabelling.failure_rate:.0%} of the draws components cannot be told apart" in text
    by_size = -np.sort(-chains.draws.weights, axis=2)
    low, high = np.quantile(by_size[:, :, 0], [0.025, 0.975])
    assert f"Weights by size {by_size[:, :, 0].mean():.3f} ({low:.3f} .. {high:.3f})" in text
    together = chains.grouping.together
    assert [group["rows"] for group in found["groups"]] == [20, 20]
    assert found["groups"][0]["together"] == pytest.approx(together[0, 0])
    assert found["groups"][0]["nearest"] == 1
    assert found["groups"][0]["nearest_together"] == pytest.approx(together[0, 1])
    assert f"  0        20      {100 * together[0, 0]:.0f} %" in text


def test_where_the_number_is_open_it_is_said_of_how_many_draws_the_table_is():
    counts = np.full((3, 60), 3)
    counts[:, ::3] = 2
    chains = chains_of(n_filled=counts, n_is_known=False)
    text = describe_draws(kept(chains))
    assert "With rows       3 components (67 %), 2 (33 %)" in text
    assert "of the 120 of 180 draws that have so many" in text


def test_lines_fit_and_many_columns_are_cut():
    rng = np.random.default_rng(0)
    means = 5 * rng.normal(size=(1, 1, 2, 30)) + 0.1 * rng.normal(size=(2, 20, 2, 30))
    draws = Draws(covariance_structure("diag"), rng.dirichlet([50, 50], (2, 20)), means, np.ones((2, 20, 2, 30)))
    rows = means[0, 0]
    chains = judge(
        PosteriorSample(draws, np.zeros((2, 20)), np.zeros((2, 20)), {}, False, None), ArraySource(rows), method="ecr"
    )
    text = describe_draws(kept(chains), [f"a very long name of column {d}" for d in range(30)], width=70)
    assert max(map(len, text.split("\n"))) <= 70
    assert "18 more columns" in text
    with pytest.raises(mx.InvalidParameterError, match="between 0 and 1; got 95"):
        draws_facts(chains, level=95)
