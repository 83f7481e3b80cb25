"""Settings of one algorithm: frozen, and parameters of their estimator to scikit-learn."""

import copy
import dataclasses
import pickle

import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import mixtura as mx

SETTINGS = {
    "Cavi": (mx.Cavi(moves=False), {"batch_size": 50}, {"batch_size": 0}),
    "Svi": (mx.Svi(batch_size=100), {"batch_size": 50}, {"batch_size": 2.5}),
    "Nuts": (mx.Nuts(target_accept=0.8), {"target_accept": 0.95}, {"target_accept": 1.0}),
    "Gibbs": (mx.Gibbs(thin=2), {"thin": 5}, {"thin": 0}),
}
every_kind = pytest.mark.parametrize("kind", SETTINGS)


@every_kind
def test_they_are_frozen_and_compared_by_value(kind):
    settings, changes, _ = SETTINGS[kind]
    (name,) = changes
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(settings, name, 3)
    for again in (clone(settings), copy.deepcopy(settings), pickle.loads(pickle.dumps(settings))):
        assert again == settings
    assert clone(settings) is not settings
    assert dataclasses.replace(settings, **changes) != settings


@every_kind
def test_a_setting_that_cannot_be_changes_nothing(kind):
    settings, changes, wrong = SETTINGS[kind]
    settings, before = clone(settings), settings.get_params()
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        settings.set_params(**wrong)
    with pytest.raises(ValueError, match="has no setting 'nonsense'"):
        settings.set_params(**changes, nonsense=1)
    assert settings.get_params() == before
    assert settings.set_params(**changes) is settings
    assert settings.get_params() == {**before, **changes}


@every_kind
def test_an_estimator_reaches_them_and_a_clone_has_its_own(kind):
    settings, changes, _ = SETTINGS[kind]
    where = "solver" if kind in ("Cavi", "Svi") else "sampler"
    make = mx.BayesianGaussianMixture if where == "solver" else mx.SampledGaussianMixture
    estimator = make(2, **{where: clone(settings)})
    other = clone(estimator)
    ((name, value),) = changes.items()
    other.set_params(**{f"{where}__{name}": value})
    assert other.get_params()[f"{where}__{name}"] == value
    assert getattr(estimator, where) == settings


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_grid_searches_go_over_them(faithful):
    grid = {"solver__moves": [True, False], "solver__batch_size": [None, 90]}
    found = GridSearchCV(mx.BayesianGaussianMixture(2, solver=mx.Cavi(), random_state=0), grid, cv=2).fit(faithful)
    assert {(p["solver__moves"], p["solver__batch_size"]) for p in found.cv_results_["params"]} == {
        (moves, size) for moves in (True, False) for size in (None, 90)
    }
    assert found.best_estimator_.solver.get_params().keys() == {"moves", "batch_size"}
    kinds = GridSearchCV(
        mx.BayesianGaussianMixture(2, random_state=0), {"solver": ["cavi", mx.Svi(50), mx.Cavi(moves=False)]}, cv=2
    )
    assert kinds.fit(faithful).best_score_ > -5
