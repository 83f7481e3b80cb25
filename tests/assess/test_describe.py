"""The summary: it fits the page, tells what differs apart, and survives the model file."""

import json

import numpy as np
import pytest

import mixtura as mx
from mixtura.assess.choice.candidates import Candidate, Search
from mixtura.assess.describe import MOST_ROWS, WIDTH, describe, fit_facts
from mixtura.ground.errors import ModelFileError
from mixtura.model.covariance import STRUCTURES
from mixtura.model.mixture import Mixture


@pytest.fixture(scope="module")
def found(faithful: np.ndarray) -> Search:
    return mx.GaussianMixtureSearch(range(1, 4), n_init=3, random_state=0).fit(faithful).search_


def random_mixture(
    structure: str, n_components: int, n_features: int, scale: float = 1.0, shift: float = 0.0
) -> Mixture:
    rng = np.random.default_rng(0)
    matrices = np.array([a @ a.T for a in rng.normal(size=(n_components, n_features, n_features + 3))]) * scale**2
    chosen = next(s for s in STRUCTURES if s.name == structure)
    covariances = chosen.from_matrices(matrices, np.ones(n_components))
    means = rng.normal(size=(n_components, n_features)) * scale + shift
    return Mixture(np.full(n_components, 1 / n_components), means, covariances, structure)


def test_facts_are_json_and_lose_nothing(found: Search) -> None:
    facts = fit_facts(found, 272, data="faithful.csv", left_out=["name (not numeric)"], seed=0)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert found.best.mixture is not None
    assert describe(found.best.mixture, facts) == describe(found.best.mixture, json.loads(json.dumps(facts)))


def test_what_the_summary_says(found: Search) -> None:
    assert found.best.mixture is not None
    mixture = found.best.mixture.with_feature_names(["eruptions", "waiting"])
    text = describe(mixture, fit_facts(found, 272, data="faithful.csv", left_out=["name (not numeric)"]))
    for words in (
        "<- chosen by BIC",
        "2 components in 2 columns, covariance full (VVV)",
        "faithful.csv, 272 rows",
        "eruptions, waiting",
        "name (not numeric)",
        "-1130.264 (-4.1554 per row)",
        "lower is better",
        "converged",
        "reached 10 times",
    ):
        assert words in text
    assert text.count("\n") < 40
    line = next(line for line in text.splitlines() if "chosen" in line)
    assert line.split()[:5] == ["2", "11", "-1130.26", "2322.19", "2282.53"]


def test_one_candidate_is_enough(found: Search) -> None:
    facts = fit_facts(found.best, 272)
    assert "candidates" not in facts
    assert found.best.mixture is not None
    assert "Candidates" not in describe(found.best.mixture, facts)
    with pytest.raises(ValueError, match="not fitted: it collapsed"):
        fit_facts(Candidate(2, "full", error="it collapsed"), 10)


@pytest.mark.parametrize("structure", [s.name for s in STRUCTURES])
@pytest.mark.parametrize("size", [(1, 1), (1, 3), (9, 2), (9, 6), (9, 10), (3, 30)])
@pytest.mark.parametrize("names", [None, "x" * 45])
def test_it_fits_the_page(structure: str, size: tuple[int, int], names: str | None) -> None:
    for scale, shift in ((1.0, 0.0), (1e-9, 0.0), (1e12, 0.0), (1.0, 1e9), (1e-3, 1e6)):
        mixture = random_mixture(structure, *size, scale, shift)
        if names:
            mixture = mixture.with_feature_names([f"{names} {d}" for d in range(size[1])])
        text = describe(mixture)
        assert max(map(len, text.splitlines())) <= WIDTH
        assert len(text.splitlines()) < 150


def test_means_that_differ_look_different() -> None:
    for shift, scale in ((1e6, 1e-2), (1e-12, 1e-14), (1e9, 1.0), (1e15, 1e12), (0.0, 1.0)):
        means = shift + scale * np.array([[0.0], [1.0]])
        text = describe(Mixture([0.5, 0.5], means, [scale**2, scale**2], "spherical"))
        shown = [line.split()[-1] for line in text.partition("Weights and means")[2].splitlines()[2:4]]
        assert float(shown[1]) - float(shown[0]) == pytest.approx(scale, rel=0.01)


def test_a_table_of_structures_marks_the_chosen_the_collapsed_and_the_lost(found: Search) -> None:
    assert found.best.mixture is not None
    facts = fit_facts(found, 272)
    row = facts["candidates"][0]
    facts["candidates"] += [
        {**row, "covariance_type": "tied", "sound": False},
        {**row, "covariance_type": "tied", "n_components": 2, "bic": None, "sound": False, "error": "all collapsed"},
    ]
    text = describe(found.best.mixture, facts)
    assert "BIC of each candidate (lower is better)" in text
    assert "2322.19*" in text
    assert "2607.62!" in text
    assert "Not fitted, K = 2 tied: all collapsed" in text


def test_a_table_marks_what_is_held_and_what_did_not_converge(found: Search) -> None:
    assert found.best.mixture is not None
    facts = fit_facts(found, 272)
    row = next(row for row in facts["candidates"] if row["n_components"] == 3)
    row |= {"converged": False, "held": 1}
    line, notes = (
        next(line for line in describe(found.best.mixture, facts).splitlines() if line.strip().startswith(start))
        for start in ("3 ", "= ")
    )
    assert line.endswith("=~")
    assert notes.split("   ") == ["  = a component is held at the floor", "~ did not converge"]
    facts["candidates"] += [
        {**row, "covariance_type": "tied", "sound": False},
        {**row, "covariance_type": "diag", "held": 0},
    ]
    cells = next(
        line for line in describe(found.best.mixture, facts).splitlines() if line.strip().startswith("3 ")
    ).split()
    assert [cell.lstrip("-0123456789.") for cell in cells] == ["", "=~", "!~", "~"]
    older = [
        {k: v for k, v in row.items() if k not in ("converged", "held")} for row in fit_facts(found, 272)["candidates"]
    ]
    assert "~" not in describe(found.best.mixture, {**facts, "candidates": older})


def test_a_long_table_keeps_the_best(found: Search) -> None:
    facts = fit_facts(found, 272)
    row = facts["candidates"][0]
    facts["candidates"] += [{**row, "n_components": k, "bic": 3000.0 + k} for k in range(4, 60)]
    assert found.best.mixture is not None
    lines = describe(found.best.mixture, facts).splitlines()
    assert [int(line.split()[0]) for line in lines[2 : 2 + MOST_ROWS]] == list(range(1, MOST_ROWS + 1))
    assert f"K not shown are worse ({59 - MOST_ROWS})" in lines[2 + MOST_ROWS]


def test_the_edge_of_the_range_is_pointed_out(faithful: np.ndarray) -> None:
    found = mx.GaussianMixtureSearch([1, 2], n_init=1, random_state=0).fit(faithful).search_
    assert found.best.mixture is not None
    assert "K = 2 is the largest tried" in describe(found.best.mixture, fit_facts(found, 272))


def test_components_held_at_the_floor_are_a_warning(found: Search) -> None:
    facts = fit_facts(found, 272)
    facts["held_at_floor"] = ["component 0 collapsed: its rows coincide", "component 1 collapsed"]
    assert found.best.mixture is not None
    text = " ".join(describe(found.best.mixture, facts).split())
    assert "Warning component 0 collapsed: its rows coincide, and so did 1 other component." in text


def test_restarts_in_words(found: Search) -> None:
    assert found.best.mixture is not None
    facts = {**fit_facts(found, 272), "restarts": 20, "collapsed": 3, "dropped": 4}
    facts["optima"] = [[-10.0 - i, 3 if i else 1] for i in range(7)]
    text = " ".join(describe(found.best.mixture, facts).split())
    assert "20, 3 of them collapsed, 4 given up early behind the others; 7 distinct optima" in text
    assert "by log-likelihood: -10.000 (once), -11.000 (3 times)" in text
    assert "and 2 lower ones" in text


@pytest.mark.parametrize("facts", [{"optima": "abc"}, {"rows": "many"}, {"log_likelihood": "x"}, {"stopped": "so"}])
def test_facts_of_another_kind_are_refused(facts: dict[str, object], found: Search) -> None:
    assert found.best.mixture is not None
    with pytest.raises(ModelFileError, match="the record of the fit cannot be read"):
        describe(found.best.mixture, facts)
