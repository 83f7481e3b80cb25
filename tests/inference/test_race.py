import numpy as np
import pytest

import mixtura as mx
from mixtura.data.array import ArraySource
from mixtura.inference.climb.loop import climb
from mixtura.inference.rules.em import ExpectationMaximization
from mixtura.inference.rules.stopping import Stopping
from mixtura.inference.starts.race import STAGES, Pool, Shortlist, Start, pool_size, race
from mixtura.inference.starts.restarts import finish
from mixtura.inference.starts.sample import seeding_sample
from mixtura.inference.starts.seedings import SEEDINGS
from mixtura.model.covariance import covariance_structure


def pool(sample, n_components, n_init, seeding="random_from_data", floor=1e-6):
    algorithm = ExpectationMaximization(covariance_structure("full"), floor)
    n = pool_size(n_components, n_init)
    return Pool(SEEDINGS[seeding](sample, n_components, algorithm, np.random.default_rng(0), n), algorithm, n_init)


@pytest.mark.parametrize("n_init", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("n_components", [1, 4])
def test_every_start_is_accounted_for(n_init, n_components, iris):
    sample = seeding_sample(ArraySource(iris), n_components)
    entered = pool(sample, n_components, n_init)
    (shortlist,) = race(sample, [entered])
    standing = sum(start.times for start in (*shortlist.starts, *shortlist.reserves))
    assert standing + shortlist.n_collapsed + shortlist.n_given_up == len(entered.starts)
    assert 1 <= len(shortlist.starts) <= max(1, -(-STAGES[-1][1] * n_init // 1))


def test_one_start_goes_on_as_it_is(iris):
    sample = seeding_sample(ArraySource(iris), 3)
    entered = pool(sample, 3, 1)
    (shortlist,) = race(sample, [entered])
    assert shortlist.starts[0].mixture is entered.starts[0]


def test_the_best_of_the_short_runs_goes_on(faithful):
    """Starts that are clearly better early win; starts that come to the same place are one."""
    sample = seeding_sample(ArraySource(faithful), 2)
    entered = pool(sample, 2, 6)
    (shortlist,) = race(sample, [entered])
    ((mixture, times, *_),) = shortlist.starts
    assert times == len(entered.starts) - shortlist.n_collapsed - sum(s.times for s in shortlist.reserves)
    assert mixture.log_likelihood(faithful) == pytest.approx(-1130.264, abs=1e-2)


def test_candidates_race_side_by_side_as_they_would_alone(iris):
    sample = seeding_sample(ArraySource(iris), 4)
    pools = [pool(sample, k, 5) for k in (2, 3, 4)]
    for alone, together in zip([race(sample, [p])[0] for p in pools], race(sample, pools), strict=True):
        assert [s.times for s in alone.starts] == [s.times for s in together.starts]
        for a, b in zip(alone.starts, together.starts, strict=True):
            np.testing.assert_allclose(a.mixture.means, b.mixture.means, rtol=1e-6)


def test_the_race_finds_what_climbing_every_start_finds(iris, faithful, diabetes):
    """Not always, but over many cases as often better as worse; here within a little on the average."""
    differences = []
    for X in (iris, faithful, diabetes):
        source = ArraySource(X)
        for k in (2, 3, 4):
            sample, algorithm = seeding_sample(source, k), ExpectationMaximization(covariance_structure("full"), 1e-6)
            stopping = Stopping(1e-3, 1000, float(len(X)))
            for seed in range(3):
                begun = SEEDINGS["kmeans"](sample, k, algorithm, np.random.default_rng(seed), 20)
                to_the_end = max(r.bounds[-1] for r in climb(source, begun, algorithm, stopping) if not r.collapses)
                gm = mx.GaussianMixture(k, n_init=20, reg_covar=1e-6, max_iter=1000, random_state=seed).fit(X)
                differences.append(gm.lower_bound_ * len(X) - to_the_end)
    assert np.mean(differences) > -0.5
    assert np.mean(np.array(differences) > -1e-2) > 0.8


def test_reserves_run_where_all_leaders_collapse():
    """A component on repeated rows ends at the floor, however good its start looked."""
    rows = np.random.default_rng(1).normal(size=(60, 1))
    X = np.r_[rows, rows + 6, np.full((4, 1), 2.9)]
    source, stopping = ArraySource(X), Stopping(1e-3, 500, float(len(X)))
    algorithm = ExpectationMaximization(covariance_structure("full"), 1e-6)
    spike = mx.Mixture([0.5, 0.48, 0.02], [[0.0], [6.0], [2.9]], [[[1.0]], [[1.0]], [[1e-4]]])
    plain = mx.Mixture([0.5, 0.4, 0.1], [[0.0], [6.0], [7.0]], [[[1.0]], [[1.0]], [[1.0]]])
    (restarts,) = finish(source, [Shortlist([Start(spike, 2)], [Start(plain)])], [algorithm], stopping)
    assert not restarts.best.collapses
    assert (restarts.n_runs, restarts.n_collapsed, restarts.n_dropped) == (3, 2, 0)
    (kept,) = finish(source, [Shortlist([Start(plain)], [Start(spike, 2)])], [algorithm], stopping)
    assert (kept.n_runs, kept.n_collapsed, kept.n_dropped) == (3, 0, 2)
    assert kept.best.bounds == restarts.best.bounds
