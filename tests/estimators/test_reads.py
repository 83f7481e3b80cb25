"""What an estimator says of its reads is what a source counts that hands out the rows."""

from dataclasses import dataclass, field

import numpy as np
import pytest

import mixtura as mx
from mixtura.data.array import ArraySource
from mixtura.estimators import gaussian_mixture, search
from mixtura.inference.starts import variational_solvers
from mixtura.model.scorer import Scorer
from mixtura.sweep import kernels, with_compiled

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::mixtura.CollapseWarning"
)


@dataclass(frozen=True)
class CountingSource(ArraySource):
    """Rows that note how many of them are handed out, but for the first read, which says what passes need to know."""

    handed_out: list[int] = field(default_factory=list)

    def __post_init__(self):
        super().__post_init__()
        self.__dict__["facts"] = ArraySource(self.rows, self.weights).facts

    def blocks(self, size):
        for block in super().blocks(size):
            self.handed_out.append(len(block.rows))
            yield block

    def batches(self, size, rng):
        for batch in super().batches(size, rng):
            self.handed_out.append(len(batch[0]))
            yield batch


@pytest.fixture
def n_reads(monkeypatch):
    """How often all rows have been read by whatever climbs, in blocks of 256."""
    monkeypatch.setattr(kernels, "CACHE", 1)
    monkeypatch.setattr(with_compiled, "MOST_NUMBERS", 0)  # those that are, are gone over in calls of many reads
    monkeypatch.setattr(Scorer, "block_rows", lambda scorer: 256)
    handed_out, sources = [], []

    def counted(function):
        def called(source, *arguments, **settings):
            sources.append(CountingSource(source.rows, source.weights, handed_out))
            return function(sources[-1], *arguments, **settings)

        return called

    for module, names in [
        (gaussian_mixture, ["finish"]),
        (search, ["finish"]),
        (variational_solvers, ["finish", "leap", "climb_by_blocks", "learn_all"]),
    ]:
        for name in names:
            monkeypatch.setattr(module, name, counted(getattr(module, name)))
    return lambda: sum(handed_out) / sources[0].n_rows


def clouds(n_rows=600):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 2))
    X[: n_rows // 3] += [1.5, 1.0]
    return X


def in_short(settings):
    """The name of a case, the same in each process."""
    return ", ".join(f"{k}={v}" if isinstance(v, str | int | bool) else k for k, v in settings.items()) or "defaults"


class Ridge:
    def value(self, mixture):
        return -float(np.square(mixture.means).sum())

    def gradient(self, mixture):
        return np.zeros_like(mixture.weights), -2 * mixture.means, np.zeros_like(mixture.covariances)


@pytest.mark.parametrize(
    "settings",
    [
        *({"solver": solver} for solver in ("auto", "em", "lbfgs", "newton", "gem", "gradient")),
        {"solver": "newton", "n_init": 6, "init_params": "random_from_data"},
        {"n_init": 6, "init_params": "random_from_data"},
        {"n_components": 5, "n_init": 4},
        {"covariance_prior": "empirical"},
        {"equal_weights": True, "covariance_type": "tied"},
        {"assignment": "hard"},
        {"penalty": Ridge()},
        {"init_params": np.arange(600) % 2},
        {"means_init": [[0.0, 0.0], [1.5, 1.0]]},
        {"max_iter": 0},
        {"max_iter": 1},
    ],
    ids=in_short,
)
def test_reads_of_a_fit(settings, n_reads):
    gm = mx.GaussianMixture(**{"n_components": 2, "max_iter": 60, "random_state": 0} | settings).fit(clouds())
    assert gm.n_passes_ == n_reads()
    assert len(gm.restarts_.runs) > 1 or gm.restarts_.best.n_passes == gm.n_passes_


@pytest.mark.parametrize(("seed", "n_components"), [(43, 6), (50, 4)])
def test_reads_of_restarts_that_climb_after_all_others_have_collapsed(seed, n_components, n_reads):
    """Those that were given up take their place, one climb after another."""
    rng = np.random.default_rng(seed)
    X = np.r_[rng.normal(size=(40, 2)), rng.normal(size=(20, 2)) * 0.1 + 2]
    gm = mx.GaussianMixture(n_components, n_init=2, random_state=seed, max_iter=200).fit(np.tile(X, (12, 1)))
    assert gm.n_passes_ == n_reads()
    assert gm.n_passes_ > max(run.n_passes for run in gm.restarts_.runs)


def test_reads_of_a_climb_that_goes_on_from_a_saddle(n_reads, galaxies, monkeypatch):
    monkeypatch.setattr(kernels, "LEAST_BLOCK", 32)
    settings = {"init_params": "random_from_data", "covariance_type": "tied_spherical", "max_iter": 5000}
    gm = mx.GaussianMixture(5, random_state=1, **settings).fit(galaxies)
    assert gm.n_passes_ == n_reads() > 30  # at the saddle it is 20


def test_reads_of_a_warm_start(n_reads):
    gm = mx.GaussianMixture(2, random_state=0, max_iter=5, warm_start=True).fit(clouds())
    first = gm.n_passes_
    assert gm.fit(clouds()).n_passes_ == n_reads() - first


def test_reads_of_a_search_are_those_of_all_candidates_together(n_reads):
    found = mx.GaussianMixtureSearch([1, 2, 3], covariance_type=["full", "diag"], n_init=3, random_state=0).fit(
        clouds()
    )
    assert found.best_estimator_.n_passes_ == n_reads()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"solver": mx.Cavi(moves=False)},
        {"n_init": 3},
        {"solver": mx.Cavi(300)},
        {"solver": mx.Svi(100)},
        {"max_iter": 3},
    ],
    ids=in_short,
)
def test_reads_of_variational_bayes(settings, n_reads):
    gm = mx.BayesianGaussianMixture(3, random_state=0, **{"max_iter": 200} | settings).fit(clouds())
    assert gm.restarts_.n_passes == n_reads()
