"""EM from the same starting labels as R's mclust must reach the same log-likelihoods, for every row of the reference."""

import numpy as np
import pytest

import mixtura as mx

DATA_SETS = ("acidity", "diabetes", "faithful", "galaxies", "iris", "wreath")
IN_ONE_DIMENSION = {"E": "EEE", "V": "VVV"}
CODES = ("EII", "VII", "EEI", "VVI", "EEE", "VVV")


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", DATA_SETS)
def test_every_reference_row(name, code, reference, request):
    X = request.getfixturevalue(name)
    labels = reference[name]["start"]["labels"]
    compared = 0
    for row in reference.fits(name):
        target = row["loglik_conv"] if row["loglik_conv"] is not None else row["loglik_tight"]
        if IN_ONE_DIMENSION.get(row["model"], row["model"]) != code or target is None:
            continue
        start = np.array(labels[str(row["G"])]) - 1 if row["G"] > 1 else np.zeros(len(X), dtype=int)
        gm = mx.GaussianMixture(
            row["G"], covariance_type=code, init_params=start, reg_covar=0, tol=1e-13, max_iter=20_000, solver="em"
        ).fit(X)
        bounds = np.array(gm.restarts_.best.bounds)
        case = f"{name} {row['model']},{row['G']}"
        assert bounds[0] == pytest.approx(row["loglik_step1"], rel=1e-8), case
        assert (np.diff(bounds) >= -1e-11 * np.abs(bounds[1:])).all(), case
        assert gm.mixture_.n_parameters == row["df"], case
        if row["loglik_conv"] is None or abs(row["loglik_conv"] - row["loglik_tight"]) <= 1e-4:
            assert bounds[-1] == pytest.approx(target, rel=1e-7), case
        compared += 1
    assert bool(compared) is (X.shape[1] > 1 or code in IN_ONE_DIMENSION.values())


@pytest.mark.parametrize("name", DATA_SETS)
def test_stored_parameters_give_the_stored_densities_and_posteriors(name, reference, request):
    X = request.getfixturevalue(name)
    new = np.array(reference[name]["newdata"], dtype=float).reshape(-1, X.shape[1])
    for stored in reference[name]["parameters"]:
        weights = np.array(stored["pro"], dtype=float).ravel()
        means = np.array(stored["mean"], dtype=float).reshape(len(weights), X.shape[1])
        sigma = np.array(stored["sigma"], dtype=float).reshape(len(weights), X.shape[1], X.shape[1])
        m = mx.Mixture(weights / weights.sum(), means, sigma)
        assert m.log_likelihood(X) == pytest.approx(stored["loglik"], rel=1e-9)
        np.testing.assert_allclose(m.log_pdf(X[:10]), stored["logdens_head"], rtol=1e-8)
        np.testing.assert_allclose(m.log_pdf(new), stored["logdens_new"], rtol=1e-8)
        for rows, posteriors in ((X[:10], "z_head"), (new, "z_new")):
            if posteriors in stored:
                expected = np.reshape(stored[posteriors], (len(rows), -1))
                np.testing.assert_allclose(m.responsibilities(rows), expected, rtol=1e-6, atol=1e-9)


def test_equal_proportions(faithful, reference):
    labels = reference["faithful"]["start"]["labels"]
    compared = 0
    for fit in reference["faithful_extras"]["equal_proportions"]["fits"]:
        if fit["model"] not in CODES:
            continue
        gm = mx.GaussianMixture(
            fit["G"],
            covariance_type=fit["model"],
            init_params=np.array(labels[str(fit["G"])]) - 1,
            equal_weights=True,
            reg_covar=0,
            tol=1e-12,
            max_iter=20_000,
        ).fit(faithful)
        assert gm.lower_bound_ * len(faithful) == pytest.approx(fit["loglik"], rel=1e-7)
        compared += 1
    assert compared


def test_weighted_fit(faithful, reference):
    block = reference["faithful_extras"]["weighted"]
    weights = np.array(block["weights"])
    for fit in block["fits"]:
        gm = mx.GaussianMixture(
            fit["G"],
            covariance_type=fit["model"],
            init_params=np.array(fit["labels"]) - 1,
            reg_covar=0,
            tol=1e-12,
            max_iter=20_000,
        ).fit(faithful, sample_weight=weights)
        assert gm.lower_bound_ * weights.sum() == pytest.approx(fit["loglik"], rel=1e-7)
