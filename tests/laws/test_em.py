"""What must hold of every fit, for every structure."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mixtura as mx
from mixtura.model.covariance import STRUCTURES

NAMES = [structure.name for structure in STRUCTURES]
BY_FEATURE = [structure.name for structure in STRUCTURES if structure.scales_by_feature]
# From the more special to the more general.
NESTED = [
    ("tied_spherical", "spherical"),
    ("tied_spherical", "tied_diag"),
    ("tied_diag", "diag"),
    ("tied_diag", "tied"),
    ("spherical", "diag"),
    ("diag", "full"),
    ("tied", "full"),
]


@pytest.fixture(scope="module")
def clouds():
    rng = np.random.default_rng(3)
    mixing = rng.normal(size=(3, 3, 3)) * 0.6 + np.eye(3)
    centres = np.array([[0.0, 0, 0], [4, 1, -2], [-3, 3, 2]])
    labels = rng.integers(0, 3, size=240)
    return centres[labels] + np.einsum("nij,nj->ni", mixing[labels], rng.normal(size=(240, 3)))


def labels_of(X, k=3):
    """A crude start: equal blocks along the first column."""
    return np.argsort(np.argsort(X[:, 0], kind="stable"), kind="stable") * k // len(X)


def fitted(X, name, labels=None, sample_weight=None, **settings):
    settings = {"reg_covar": 0.0, "tol": 1e-5, "max_iter": 3000, "solver": "em"} | settings
    start = labels_of(X) if labels is None else labels
    gm = mx.GaussianMixture(3, covariance_type=name, init_params=start, **settings)
    return gm.fit(X, sample_weight=sample_weight)


def log_likelihood(gm, X):
    return gm.mixture_.log_likelihood(X)


@pytest.mark.parametrize("prior", [None, "empirical"])
@pytest.mark.parametrize("assignment", ["soft", "hard"])
@pytest.mark.parametrize("name", NAMES)
def test_bound_climbs_and_is_what_it_says(name, assignment, prior, clouds):
    gm = fitted(clouds, name, assignment=assignment, covariance_prior=prior)
    bounds = np.array(gm.restarts_.best.bounds)
    assert len(bounds) > 2
    assert (np.diff(bounds) >= -1e-11 * np.abs(bounds[1:])).all()
    m = gm.mixture_
    expected = (
        log_likelihood(gm, clouds) if assignment == "soft" else m.complete_log_likelihood(clouds, gm.predict(clouds))
    )
    if prior:
        expected += gm.prior_.log_density(m)
    assert gm.lower_bound_ * len(clouds) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("floor", [0.3, 2.0])
@pytest.mark.parametrize("name", NAMES)
def test_bound_climbs_along_a_floor_that_holds(name, floor, clouds):
    with pytest.warns(mx.CollapseWarning) if name in {"full", "diag", "tied"} and floor == 2.0 else no_warning():
        gm = fitted(clouds, name, reg_covar=floor)
    bounds = np.array(gm.restarts_.best.bounds)
    assert (np.diff(bounds) >= -1e-11 * np.abs(bounds[1:])).all()
    assert np.linalg.eigvalsh(gm.mixture_.covariance_matrices).min() >= floor * (1 - 1e-12)


def no_warning():
    import contextlib
    import warnings

    @contextlib.contextmanager
    def silent():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mx.CollapseWarning)
            yield

    return silent()


@pytest.mark.parametrize("name", NAMES)
def test_integer_weights_are_repeated_rows(name, clouds):
    counts = np.random.default_rng(0).integers(0, 4, size=len(clouds))
    weighted = fitted(clouds, name, sample_weight=counts)
    repeated = fitted(np.repeat(clouds, counts, axis=0), name, np.repeat(labels_of(clouds), counts))
    assert weighted.n_iter_ == repeated.n_iter_
    np.testing.assert_allclose(weighted.means_, repeated.means_, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(weighted.covariances_, repeated.covariances_, rtol=1e-11, atol=1e-12)
    assert weighted.lower_bound_ == pytest.approx(repeated.lower_bound_, rel=1e-12)
    assert weighted.score(clouds, sample_weight=counts) == pytest.approx(
        repeated.score(np.repeat(clouds, counts, axis=0)), rel=1e-12
    )


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data"])
def test_starts_see_the_weighted_set_of_rows_alone(init_params, clouds):
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 4, size=len(clouds))
    order = rng.permutation(len(clouds))
    gm = mx.GaussianMixture(3, init_params=init_params, n_init=3, random_state=5, max_iter=1000)
    weighted = gm.fit(clouds, sample_weight=counts).means_
    scaled = gm.fit(clouds, sample_weight=counts * 0.125).means_
    repeated = gm.fit(np.repeat(clouds, counts, axis=0)).means_
    shuffled = gm.fit(clouds[order], sample_weight=counts[order]).means_
    for other in (scaled, repeated, shuffled):
        np.testing.assert_allclose(other, weighted, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_order_of_rows_and_of_components_does_not_matter(name, clouds):
    order = np.random.default_rng(2).permutation(len(clouds))
    base = fitted(clouds, name)
    shuffled = fitted(clouds[order], name, labels_of(clouds)[order])
    relabelled = fitted(clouds, name, np.array([2, 0, 1])[labels_of(clouds)])
    np.testing.assert_allclose(shuffled.means_, base.means_, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(relabelled.means_[[2, 0, 1]], base.means_, rtol=1e-10, atol=1e-10)
    assert relabelled.lower_bound_ == pytest.approx(base.lower_bound_, rel=1e-12)


@pytest.mark.parametrize("name", ["full", "tied"])
def test_affine_maps(name, clouds):
    A = np.array([[2.0, 0.3, 0.0], [-0.5, 0.7, 0.1], [0.2, 0.0, 30.0]])
    mapped = clouds @ A.T + [5.0, -100.0, 3.0]
    base, moved = fitted(clouds, name), fitted(mapped, name, labels_of(clouds))
    shift = len(clouds) * np.log(abs(np.linalg.det(A)))
    assert log_likelihood(moved, mapped) == pytest.approx(log_likelihood(base, clouds) - shift, rel=1e-9)
    np.testing.assert_allclose(moved.means_, base.means_ @ A.T + [5.0, -100.0, 3.0], rtol=1e-6)


@pytest.mark.parametrize("name", BY_FEATURE)
def test_scaling_each_feature(name, clouds):
    scale = np.array([1e-3, 1.0, 250.0])
    base, scaled = fitted(clouds, name), fitted(clouds * scale, name)
    shift = len(clouds) * np.log(scale).sum()
    assert log_likelihood(scaled, clouds * scale) == pytest.approx(log_likelihood(base, clouds) - shift, rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_one_global_scale(name, clouds):
    base, scaled = fitted(clouds, name), fitted(clouds * 1e4, name)
    shift = clouds.size * np.log(1e4)
    assert log_likelihood(scaled, clouds * 1e4) == pytest.approx(log_likelihood(base, clouds) - shift, rel=1e-9)


@pytest.mark.parametrize(("special", "general"), NESTED)
def test_a_more_general_structure_never_ends_below(special, general, clouds):
    below = fitted(clouds, special)
    start = below.mixture_
    counts = start.weights * len(clouds)
    structure = next(s for s in STRUCTURES if s.name == general)
    lifted = mx.Mixture(start.weights, start.means, structure.from_matrices(start.covariance_matrices, counts), general)
    assert lifted.log_likelihood(clouds) == pytest.approx(start.log_likelihood(clouds), rel=1e-12)
    above = mx.GaussianMixture(
        3,
        covariance_type=general,
        weights_init=lifted.weights,
        means_init=lifted.means,
        precisions_init=lifted.precisions,
        max_iter=500,
    ).fit(clouds)
    assert above.lower_bound_ >= below.lower_bound_ - 1e-12


@pytest.mark.parametrize("name", NAMES)
def test_one_component_is_the_closed_form(name, clouds):
    gm = mx.GaussianMixture(1, covariance_type=name, reg_covar=0).fit(clouds)
    covariance = np.cov(clouds.T, ddof=0)
    expected = {
        "full": covariance,
        "tied": covariance,
        "diag": np.diag(np.diag(covariance)),
        "tied_diag": np.diag(np.diag(covariance)),
        "spherical": np.eye(3) * np.trace(covariance) / 3,
        "tied_spherical": np.eye(3) * np.trace(covariance) / 3,
    }[name]
    np.testing.assert_allclose(gm.means_[0], clouds.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(gm.mixture_.covariance_matrices[0], expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("name", NAMES)
def test_float32_against_float64(name, offset, clouds):
    single = (clouds + offset).astype(np.float32)
    double = single.astype(np.float64)
    a, b = fitted(single, name, tol=1e-6), fitted(double, name, tol=1e-6)
    assert a.means_.dtype == a.covariances_.dtype == a.predict_proba(single).dtype == np.float32
    assert log_likelihood(a, double) == pytest.approx(log_likelihood(b, double), rel=1e-6)


@given(st.integers(2, 40), st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**31))
def test_any_data_give_a_finite_answer(n_rows, n_features, n_components, seed):
    rng = np.random.default_rng(seed)
    X = np.round(rng.normal(size=(n_rows, n_features)) * rng.choice([0.5, 3.0]), rng.integers(0, 3))
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            gm = mx.GaussianMixture(min(n_components, n_rows), n_init=2, random_state=seed).fit(X)
        except mx.CollapseError:
            return
    log_densities = gm.score_samples(X)
    assert np.isfinite(log_densities).all()
    # Relative to the terms that are summed, for the sum itself may happen to lie near zero here; and a matrix at the floor is only
    # known to eps times its condition number.
    condition = np.linalg.cond(gm.mixture_.covariance_matrices).max()
    slack = max(1e-11, np.finfo(float).eps * condition) * np.abs(log_densities).sum()
    assert (np.diff(gm.restarts_.best.bounds) >= -slack).all()
    assert np.isfinite(gm.covariances_).all()
