"""What a fit leaves: one frozen record, of which attributes are views."""

import dataclasses

import numpy as np
import pytest
from sklearn.base import clone

import mixtura as mx
from mixtura.estimators.record import DrawsFit, PointFit, StreamFit, VariationalFit, view

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SHORT = {"n_draws": 30, "n_tune": 20, "n_chains": 2, "random_state": 0}
FITS = {
    "point": (mx.GaussianMixture(2, random_state=0), "fit", PointFit),
    "point, by batches": (mx.GaussianMixture(2, solver="gradient", random_state=0), "partial_fit", StreamFit),
    "variational": (mx.BayesianGaussianMixture(2, random_state=0), "fit", VariationalFit),
    "variational, by batches": (mx.BayesianGaussianMixture(2, solver="svi", random_state=0), "partial_fit", StreamFit),
    "draws": (mx.SampledGaussianMixture(2, sampler="gibbs", **SHORT), "fit", DrawsFit),
}
every_fit = pytest.mark.parametrize("name", FITS)


def fitted(name, X):
    estimator, method, _ = FITS[name]
    return getattr(clone(estimator), method)(X)


def views_of(estimator):
    return {name for kind in type(estimator).__mro__ for name, part in vars(kind).items() if isinstance(part, view)}


@every_fit
def test_a_record_has_the_type_of_what_was_found_and_cannot_be_changed(name, faithful):
    record = fitted(name, faithful).record_
    assert type(record) is FITS[name][2]
    for field in dataclasses.fields(record):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, field.name, None)


@every_fit
def test_attributes_are_views_of_it(name, faithful):
    gm = fitted(name, faithful)
    shown = {one for one in views_of(gm) if hasattr(gm, one)}
    assert {"converged_", "n_iter_", "prior_"} <= shown
    assert not shown & set(vars(gm)), "views are computed, not kept"
    np.testing.assert_array_equal(gm.weights_, gm.record_.mixture.weights)
    np.testing.assert_allclose(gm.score_samples(faithful), gm.record_.belief.log_pdf(faithful), rtol=1e-12)


@every_fit
def test_there_are_none_before_a_fit(name):
    estimator = clone(FITS[name][0])
    for one in views_of(estimator):
        assert not hasattr(estimator, one)
    with pytest.raises(AttributeError, match=f"'{type(estimator).__name__}' object has no attribute 'converged_'"):
        _ = estimator.converged_


def test_what_is_set_by_hand_goes_before(faithful):
    gm = mx.GaussianMixture(2, random_state=0).fit(faithful)
    gm.converged_ = False
    assert gm.converged_ is False
    assert gm.record_.converged
    assert gm.fit(faithful).converged_ is True


def test_only_what_was_learnt_by_batches_has_losses(faithful):
    whole = mx.BayesianGaussianMixture(2, random_state=0).fit(faithful)
    assert not hasattr(whole, "losses_")
    by_batches = mx.BayesianGaussianMixture(2, solver=mx.Svi(100), random_state=0).fit(faithful)
    assert len(by_batches.losses_) % 3 == 0  # three batches to a read
    assert whole.mean_precision_prior_ == by_batches.mean_precision_prior_ == 1
