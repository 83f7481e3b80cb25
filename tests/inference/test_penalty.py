"""A wrong penalty is noticed and a right one never is, whatever its scale; what is not finite is refused; a certificate includes it."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import mixtura as mx
from mixtura.data.array import ArraySource
from mixtura.inference.climb.certificate import certify, flattest
from mixtura.inference.rules.penalty import Checked, check_gradient
from mixtura.model.covariance import STRUCTURES, covariance_structure

every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)


def mixture(structure="full", n_components=3, n_features=2, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(n_components, n_features, 3 * n_features))
    weights = rng.dirichlet(np.full(n_components, 3.0))
    matrices = scale**2 * half @ half.swapaxes(1, 2)
    covariances = covariance_structure(structure).from_matrices(matrices, weights)
    return mx.Mixture(weights, scale * rng.normal(size=(n_components, n_features)), covariances, structure)


class Written:
    """A penalty of a value and of derivatives by weights, means and covariances; none where it does not depend on those."""

    def __init__(self, value, by_weights=None, by_means=None, by_covariances=None):
        self.value, self.by = value, (by_weights, by_means, by_covariances)

    def gradient(self, m):
        shapes = m.weights, m.means, m.covariances
        return tuple(np.zeros_like(part) if by is None else by(m) for by, part in zip(self.by, shapes, strict=True))


def to_natural(m, by_matrices):
    """Derivatives by covariances in the shape of their structure, from those by the matrices of the components."""
    diagonals = np.diagonal(by_matrices, axis1=1, axis2=2)
    return {
        "full": by_matrices,
        "tied": by_matrices.sum(axis=0),
        "diag": diagonals,
        "tied_diag": diagonals.sum(axis=0),
        "spherical": diagonals.sum(axis=1),
        "tied_spherical": diagonals.sum(),
    }[m.covariance_type]


def log_determinants(strength):
    return Written(
        lambda m: -strength * np.linalg.slogdet(m.covariance_matrices)[1].sum(),
        by_covariances=lambda m: to_natural(m, -strength * np.linalg.inv(m.covariance_matrices)),
    )


def entropy(strength):
    return Written(lambda m: strength * np.log(m.weights).sum(), by_weights=lambda m: strength / m.weights)


def ridge(strength, centre=0.0):
    return Written(
        lambda m: -strength * np.square(m.means - centre).sum(), by_means=lambda m: -2 * strength * (m.means - centre)
    )


def lasso(strength, centre=0.0):
    return Written(
        lambda m: -strength * np.abs(m.means - centre).sum(), by_means=lambda m: -strength * np.sign(m.means - centre)
    )


def bumps(strength, reach):
    """Repulsion of all pairs of means; next to nothing where they are far apart."""

    def parts(m):
        offsets = m.means[:, None] - m.means
        return offsets, strength * np.exp(-np.square(offsets).sum(axis=2) / (2 * reach**2))

    def by_means(m):
        offsets, heights = parts(m)
        return (heights[:, :, None] * offsets).sum(axis=1) / reach**2

    return Written(lambda m: -0.5 * parts(m)[1].sum(), by_means=by_means)


def lasso_of_precisions(strength):
    """The graphical lasso's, on all entries."""

    def by_covariances(m):
        inverses = np.linalg.inv(m.covariance_matrices)
        return to_natural(m, strength * inverses @ np.sign(inverses) @ inverses)

    return Written(
        lambda m: -strength * np.abs(np.linalg.inv(m.covariance_matrices)).sum(), by_covariances=by_covariances
    )


def both(one, other):
    """Two penalties added up."""

    class Sum:
        def value(self, m):
            return one.value(m) + other.value(m)

        def gradient(self, m):
            return tuple(a + b for a, b in zip(one.gradient(m), other.gradient(m), strict=True))

    return Sum()


def constant(number):
    return Written(lambda m: number)


SCALES = [1e-300, 1e-12, 1e-6, 1.0, 1e6, 1e12, 1e200]
RIGHT = {
    **{f"log determinants {s:g}": log_determinants(s) for s in SCALES},
    **{f"entropy {s:g}": entropy(s) for s in SCALES},
    **{f"ridge {s:g}": ridge(s) for s in SCALES},
    **{f"lasso {s:g}": lasso(s) for s in SCALES},
    **{f"bumps {r:g}": bumps(50.0, r) for r in (1e-6, 1e-3, 1.0, 1e3)},
    **{f"constant {c:g}": constant(c) for c in (0.0, -1.0, 1e-300, 1e15, 1e300)},
    **{f"ridge beside {c:g}": both(ridge(1.0), constant(c)) for c in (1e6, -1e10, 1e14)},
    "stiff ridge beside another": both(ridge(1e12, 3.0), entropy(1.0)),
    "a sum that is one": Written(
        lambda m: 1e6 * (m.weights.sum() - 1), by_weights=lambda m: np.full_like(m.weights, 1e6)
    ),
    "weights up to a constant": Written(entropy(3.0).value, by_weights=lambda m: 3 / m.weights + 1e3),
    "lasso of precisions": lasso_of_precisions(2.0),
    "how many weights are large": Written(lambda m: -float((m.weights > 0.1).sum())),
    "a hinge far away": Written(
        lambda m: -np.maximum(0, m.means - 1e3).sum(), by_means=lambda m: -1.0 * (m.means > 1e3)
    ),
    "one of means alone": Written(lambda m: -m.means.max(), by_means=lambda m: -1.0 * (m.means == m.means.max())),
    "scalars for zeros": Written(ridge(1.0).value, lambda m: 0.0, ridge(1.0).by[1], lambda m: 0.0),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_gradient_is_never_refused(name):
    for i, structure in enumerate(STRUCTURES):
        for scale in (1.0, 1e-6, 1e6):
            check_gradient(Checked(RIGHT[name]), mixture(structure.name, seed=i, scale=scale))


def test_nor_is_one_that_changes_quickly():
    for penalty in (
        Written(lambda m: -np.exp(20 * m.means).sum(), by_means=lambda m: -20 * np.exp(20 * m.means)),
        Written(lambda m: np.sin(1e4 * m.means).sum(), by_means=lambda m: 1e4 * np.cos(1e4 * m.means)),
    ):
        for structure in STRUCTURES:
            check_gradient(Checked(penalty), mixture(structure.name))


def test_nor_is_one_with_an_edge_at_the_start():
    """Means at the origin, equal weights, equal components: where penalties have their edges."""
    start = mx.Mixture([0.5, 0.5], np.zeros((2, 2)), [np.eye(2)] * 2)
    for penalty in (
        lasso(3.0),
        bumps(50.0, 1.0),
        lasso_of_precisions(1.0),
        Written(
            lambda m: -abs(m.weights[0] - 0.5),
            by_weights=lambda m: np.array([-np.sign(m.weights[0] - 0.5), 0.0]),
        ),
    ):
        check_gradient(Checked(penalty), start)


def test_nor_is_one_of_many_components_and_columns():
    for seed in range(3):
        start = mixture("full", n_components=25, n_features=5, seed=seed)
        for name in ("log determinants 1", "entropy 1", "lasso 1", "ridge beside 1e+06", "lasso of precisions"):
            check_gradient(Checked(RIGHT[name]), start)


class Changed:
    """A right penalty of all parameters whose gradient is changed in one part."""

    def __init__(self, part, change):
        self.right = both(both(log_determinants(3.0), entropy(2.0)), both(ridge(1.0, 2.0), lasso(1.0, -5.0)))
        self.part, self.change = part, change

    def value(self, m):
        return self.right.value(m)

    def gradient(self, m):
        gradient = list(self.right.gradient(m))
        gradient[self.part] = self.change(np.array(gradient[self.part], dtype=float))
        return tuple(gradient)


def in_one_place(gradient):
    gradient = np.array(gradient)
    gradient.flat[-1] *= 2
    return gradient


CHANGES = {
    "zero": np.zeros_like,
    "halved": lambda gradient: gradient / 2,
    "doubled": lambda gradient: gradient * 2,
    "of the wrong sign": np.negative,
    "a tenth off": lambda gradient: 1.1 * gradient,
    "wrong in one place": in_one_place,
}
PARTS = ["weights", "means", "covariances"]


@every_structure
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("part", range(3))
def test_a_wrong_gradient_is_refused_and_its_part_named(part, change, structure):
    wrong = Changed(part, CHANGES[change])
    with pytest.raises(mx.InvalidParameterError, match=f"penalty: its gradient is not .* Where the {PARTS[part]} of"):
        check_gradient(Checked(wrong), mixture(structure.name))


def test_off_diagonal_entries_count_once():
    """Derivatives by the entries of a triangle, as if the other one followed, are twice those that are wanted."""

    def by_triangle(m):
        inverses = np.linalg.inv(m.covariance_matrices)
        return -(2 * inverses - inverses * np.eye(2))

    wrong = Written(log_determinants(1.0).value, by_covariances=by_triangle)
    with pytest.raises(mx.InvalidParameterError, match=r"covariances of component 0 .* as if all entries were free"):
        check_gradient(Checked(wrong), mixture())


@pytest.mark.parametrize("solver", ["auto", "gem", "gradient", "lbfgs"])
def test_a_fit_refuses_it_once_and_by_name(solver, faithful):
    gm = mx.GaussianMixture(2, random_state=0, solver=solver).fit(faithful)
    before = gm.lower_bound_
    with pytest.raises(
        mx.InvalidParameterError, match=r"rate of -?[\d.e+]+, and the derivatives by means say"
    ) as raised:
        gm.set_params(penalty=Changed(1, np.negative)).fit(faithful)
    assert "gradient(mixture) must return the derivatives of value(mixture)" in str(raised.value)
    assert gm.lower_bound_ == before


class Spoilt:
    """A ridge that answers otherwise from its n-th answer on."""

    def __init__(self, method, answer, after):
        self.method, self.answer, self.after, self.calls = method, answer, after, 0

    def value(self, m):
        return self._spoilt("value", ridge(0.1).value(m))

    def gradient(self, m):
        return self._spoilt("gradient", ridge(0.1).gradient(m))

    def _spoilt(self, method, right):
        self.calls += method == self.method
        if method != self.method or self.calls <= self.after:
            return right
        return self.answer(right)


def with_nan(part):
    def answer(right):
        gradient = list(right)
        gradient[part] = np.full_like(gradient[part], np.nan)
        return gradient

    return answer


ANSWERS = [
    ("value", lambda right: np.nan, r"value\(mixture\) returned nan for a mixture with weights from"),
    ("value", lambda right: np.inf, "returned inf"),
    ("value", lambda right: -np.inf, "returned -inf .* let it fall without end"),
    ("value", lambda right: "much", "must return a number; got 'much'"),
    ("value", lambda right: np.ones(3), "must return a number"),
    ("value", lambda right: None, "must return a number; got None"),
    *(("gradient", with_nan(part), f"returned nan among the derivatives by {name}") for part, name in enumerate(PARTS)),
    ("gradient", lambda right: (right[0], right[1] * np.inf, right[2]), "among the derivatives by means"),
    ("gradient", lambda right: right[:2], "must return three arrays"),
    ("gradient", lambda right: None, "must return three arrays; got NoneType"),
    ("gradient", lambda right: (right[0], right[1].ravel(), right[2]), r"shape \(2, 2\) for the means; got \(4,\)"),
    ("gradient", lambda right: ("a", right[1], right[2]), r"numbers of shape \(2,\) for the weights"),
]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("after", [0, 6])
@pytest.mark.parametrize("solver", ["auto", "gem", "gradient"])
@pytest.mark.parametrize(
    ("method", "answer", "sentence"), ANSWERS, ids=lambda part: part if isinstance(part, str) else ""
)
def test_an_answer_that_is_none_is_refused_at_any_time(method, answer, sentence, solver, after, faithful):
    after *= 10 if method == "value" else 1
    gm = mx.GaussianMixture(2, random_state=0, solver=solver, max_iter=500, penalty=Spoilt(method, answer, after))
    with pytest.raises(mx.InvalidParameterError, match=f"penalty.*{sentence}"):
        gm.fit(faithful)
    assert not hasattr(gm, "converged_")


def test_where_it_has_no_step_nothing_has_converged(faithful):
    """A component without rows has no coordinates to move in."""
    begun = {"weights_init": [0.5, 0.5, 0.0], "means_init": [[2.0, 54.0], [4.3, 80.0], [3.0, 70.0]]}
    gm = mx.GaussianMixture(3, penalty=ridge(1e-3), precisions_init=[np.diag([4.0, 0.03])] * 3, **begun)
    with (
        pytest.warns(mx.CollapseWarning, match="no row belongs to component 2"),
        pytest.warns(ConvergenceWarning, match="has no rows, or at the floor, a penalty has no step"),
    ):
        gm.fit(faithful)
    assert (gm.stop_.reason, gm.converged_) == ("stuck", False)


# ---- the certificate -----------------------------------------------------------------------------------------------------------


@every_structure
def test_the_certificate_includes_it(structure, faithful):
    X = (faithful - faithful.mean(axis=0)) / faithful.std(axis=0)
    penalty = both(both(log_determinants(3.0), entropy(20.0)), ridge(5.0))
    gm = mx.GaussianMixture(
        2, covariance_type=structure.name, penalty=penalty, random_state=0, max_iter=2000, tol=1e-6
    ).fit(X)
    found = gm.certificate(X)
    assert found.gradient_norm < 1e-3
    assert found.is_maximum
    assert certify(gm.mixture_, 0.0, ArraySource(X)).gradient_norm > 1
    without = certify(gm.mixture_, 0.0, ArraySource(X)).largest_curvature
    assert without != pytest.approx(found.largest_curvature, rel=1e-6)


def test_its_curvature_is_that_of_likelihood_and_penalty_together():
    """One component, weights and covariance held by nothing: by its mean, the Hessian is −1 and the ridge's −2s·σ²/n."""
    X = np.random.default_rng(0).normal(size=(400, 1))
    m = mx.Mixture([1.0], [[X.mean()]], [X.var()], "spherical")
    for strength in (0.0, -150.0, 300.0):
        curvature, _ = flattest(m, ArraySource(X), ridge(strength, X.mean()))
        expected = max(-1.0, -1.0 - 2 * strength * X.var() / 400)
        assert curvature == pytest.approx(expected, abs=1e-6)
