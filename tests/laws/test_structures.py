"""Every covariance structure: its maximiser maximises, its factors invert, its parameters are counted right.

The families are written down again here, as a table: the form of a block, and whether the components share one. A vector of free
coordinates unpacks to the covariance matrices of all components, which is all that the comparisons below need.
"""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import invgamma, invwishart

from mixtura.ground.errors import InvalidParameterError
from mixtura.model.covariance import STRUCTURES, InverseWishartPenalty, covariance_structure

FAMILIES = {
    # name: (code, form of a block, shared)
    "full": ("VVV", "matrix", False),
    "tied": ("EEE", "matrix", True),
    "diag": ("VVI", "axes", False),
    "tied_diag": ("EEI", "axes", True),
    "spherical": ("VII", "round", False),
    "tied_spherical": ("EII", "round", True),
}
NESTED = [
    ("full", "tied"), ("diag", "tied_diag"), ("spherical", "tied_spherical"),
    ("full", "diag"), ("diag", "spherical"), ("tied", "tied_diag"), ("tied_diag", "tied_spherical"),
]  # fmt: skip
SHAPES = [(1, 1), (1, 3), (3, 1), (3, 2)]

every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
every_shape = pytest.mark.parametrize(("n_components", "n_features"), SHAPES)


def block_size(form, n_features):
    return {"matrix": n_features * (n_features + 1) // 2, "axes": n_features, "round": 1}[form]


def root(form, free, n_features):
    """A square root of a block: lower triangular, diagonal or round."""
    if form == "matrix":
        lower = np.zeros((n_features, n_features))
        lower[np.tril_indices(n_features)] = free
        return lower
    return np.diag(np.broadcast_to(free, n_features))


def unpack(name, free, n_components, n_features, floor=0.0):
    """Covariance matrices ``floor·I + root·rootᵀ`` of all components, ``(K, D, D)``: every member with no variance below the floor."""
    _, form, shared = FAMILIES[name]
    roots = [root(form, part, n_features) for part in np.reshape(free, (-1, block_size(form, n_features)))]
    blocks = np.stack([r @ r.T + floor * np.eye(n_features) for r in roots])
    return np.repeat(blocks, n_components, axis=0) if shared else blocks


def n_free(name, n_components, n_features):
    _, form, shared = FAMILIES[name]
    return (1 if shared else n_components) * block_size(form, n_features)


def random_problem(seed, n_components, n_features):
    """Scatter matrices and counts such as an M-step is given."""
    rng = np.random.default_rng(seed)
    counts = rng.uniform(4, 40, n_components)
    half = rng.normal(size=(n_components, n_features, n_features + 3)) * rng.uniform(
        0.2, 3, (n_components, n_features, 1)
    )
    return counts[:, None, None] * (half @ half.swapaxes(1, 2)) / 5, counts


def as_given(structure, scatter):
    return np.diagonal(scatter, axis1=1, axis2=2) if structure.diagonal else scatter


def objective(matrices, scatter, counts):
    """``−½ Σ_k [n_k log|Σ_k| + tr(Σ_k⁻¹ S_k)]``."""
    traces = np.trace(np.linalg.solve(matrices, scatter), axis1=1, axis2=2)
    return -0.5 * np.sum(counts * np.linalg.slogdet(matrices)[1] + traces)


def penalty_of_blocks(name, matrices, penalty):
    """``−½ Σ [τ log|B| + tr(Ψ B⁻¹)]`` over the free blocks; a diagonal is made of ``D`` blocks of one, a sphere counts all ``D``."""
    _, form, shared = FAMILIES[name]
    blocks, degrees, scale = matrices[:1] if shared else matrices, penalty.degrees_of_freedom, penalty.scale
    if form == "matrix":
        return objective(blocks, scale[None], np.full(len(blocks), degrees + len(scale) + 1))
    variances, rates = np.diagonal(blocks, axis1=1, axis2=2), np.diagonal(scale)
    if form == "round":
        variances, rates, degrees = variances[:, 0], rates.sum(), len(scale) * degrees
    return -0.5 * np.sum((degrees + 2) * np.log(variances) + rates / variances)


def log_prior_of_blocks(name, matrices, penalty):
    """The inverse-Wishart or inverse-gamma log density of each free block, from SciPy."""
    _, form, shared = FAMILIES[name]
    degrees, scale = penalty.degrees_of_freedom, penalty.scale
    total = 0.0
    for block in matrices[:1] if shared else matrices:
        if form == "matrix":
            total += invwishart.logpdf(block, degrees, scale)
        elif form == "axes":
            total += invgamma.logpdf(np.diagonal(block), degrees / 2, scale=np.diagonal(scale) / 2).sum()
        else:
            total += invgamma.logpdf(block[0, 0], len(scale) * degrees / 2, scale=np.trace(scale) / 2)
    return float(total)


def random_penalty(seed, n_features):
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(n_features, n_features + 2))
    return InverseWishartPenalty(half @ half.T + 0.1 * np.eye(n_features), n_features + 1.5)


def assert_nothing_beats(structure, found, value, shape, floor, rng):
    """No member drawn at random, near or far, has a higher value, and a numerical optimiser ends at the same one."""
    best = value(found)
    size = n_free(structure.name, *shape)
    _, form, shared = FAMILIES[structure.name]
    above = found - floor * np.eye(shape[1])
    blocks = above[:1] if shared else above
    if form == "matrix":
        roots = np.linalg.cholesky(blocks + 1e-12 * np.eye(shape[1]))
        at_best = roots[:, *np.tril_indices(shape[1])].ravel()
    else:
        at_best = np.sqrt(np.maximum(np.diagonal(blocks, axis1=1, axis2=2)[:, : block_size(form, shape[1])], 0)).ravel()
    for spread in (1e-3, 0.03, 1.0):
        for _ in range(20):
            rival = unpack(structure.name, at_best + spread * rng.normal(size=size), *shape, floor + 1e-9)
            assert value(rival) <= best + 1e-6
    searched = minimize(
        lambda free: -value(unpack(structure.name, free, *shape, floor + 1e-9)), at_best + 0.1 * rng.normal(size=size)
    )
    assert best - 1e-3 < -searched.fun < best + 1e-6


# ---- the maximiser -----------------------------------------------------------------------------------------------------------------


@every_structure
@every_shape
@pytest.mark.parametrize("floored", [False, True], ids=["no floor", "floor"])
@pytest.mark.parametrize("penalised", [False, True], ids=["likelihood", "posterior"])
def test_maximise_finds_the_best_member_of_the_family(structure, n_components, n_features, floored, penalised):
    shape = (n_components, n_features)
    scatter, counts = random_problem(3, *shape)
    penalty = random_penalty(4, n_features) if penalised else None
    free_optimum = structure.maximise(as_given(structure, scatter), counts, 0.0, penalty)
    spectrum = np.linalg.eigvalsh(structure.matrices(free_optimum, *shape))
    floor = float(np.median(spectrum)) * 1.1 if floored else 0.0
    found = structure.matrices(structure.maximise(as_given(structure, scatter), counts, floor, penalty), *shape)

    assert np.linalg.eigvalsh(found).min() >= floor * (1 - 1e-12)
    if floored:
        assert (spectrum < floor).any(), "the floor must be at work for this test to say anything"

    def value(matrices):
        prior = penalty_of_blocks(structure.name, matrices, penalty) if penalised else 0.0
        return objective(matrices, scatter, counts) + prior

    assert_nothing_beats(structure, found, value, shape, floor, np.random.default_rng(5))


@every_structure
def test_a_floor_that_is_not_reached_changes_nothing(structure):
    scatter, counts = random_problem(6, 3, 2)
    given = as_given(structure, scatter)
    found = structure.maximise(given, counts, 0.0, None)
    low = 0.999 * np.linalg.eigvalsh(structure.matrices(found, 3, 2)).min()
    np.testing.assert_array_equal(structure.maximise(given, counts, low, None), found)


@every_structure
def test_the_floor_touches_only_the_components_that_need_it(structure):
    scatter, counts = np.stack([np.diag([1e-8, 4.0]), np.diag([2.0, 3.0])]) * 10, np.array([10.0, 10.0])
    found = structure.matrices(structure.maximise(as_given(structure, scatter), counts, 1e-2, None), 2, 2)
    bare = structure.matrices(structure.maximise(as_given(structure, scatter), counts, 0.0, None), 2, 2)
    assert np.linalg.eigvalsh(found).min() >= 1e-2 * (1 - 1e-12)
    np.testing.assert_array_equal(found[1], bare[1])
    np.testing.assert_allclose(found[0], np.maximum(bare[0], 1e-2 * np.eye(2)), rtol=1e-13, atol=1e-13)


@every_structure
def test_a_singular_scatter_under_a_floor_stands_on_the_floor(structure):
    scatter, counts = np.zeros((2, 3, 3)), np.array([5.0, 7.0])
    found = structure.matrices(structure.maximise(as_given(structure, scatter), counts, 0.25, None), 2, 3)
    np.testing.assert_allclose(found, np.broadcast_to(0.25 * np.eye(3), (2, 3, 3)), rtol=1e-14)


@pytest.mark.parametrize("general, special", NESTED, ids=" >= ".join)  # noqa: PT006
@pytest.mark.parametrize("floor", [0.0, 0.8])
def test_a_more_general_family_never_ends_below_a_special_one(general, special, floor):
    for seed, shape in itertools.product(range(5), SHAPES):
        scatter, counts = random_problem(seed, *shape)
        reached = []
        for structure in map(covariance_structure, (general, special)):
            natural = structure.maximise(as_given(structure, scatter), counts, floor, None)
            reached.append(objective(structure.matrices(natural, *shape), scatter, counts))
        assert reached[0] >= reached[1] - 1e-12 * abs(reached[1])


@every_structure
@every_shape
def test_the_penalty_is_the_log_density_of_the_conjugate_prior(structure, n_components, n_features):
    """Constants are left out, so differences between members of the family are compared."""
    shape, penalty = (n_components, n_features), random_penalty(7, n_features)
    ours, ours_again, scipys = [], [], []
    for seed in range(4):
        scatter, counts = random_problem(seed, *shape)
        natural = structure.maximise(as_given(structure, scatter), counts, 0.0, None)
        ours.append(structure.log_penalty(natural, penalty))
        matrices = structure.matrices(natural, *shape)
        ours_again.append(penalty_of_blocks(structure.name, matrices, penalty))
        scipys.append(log_prior_of_blocks(structure.name, matrices, penalty))
    np.testing.assert_allclose(np.diff(ours), np.diff(scipys), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(np.diff(ours_again), np.diff(scipys), rtol=1e-10, atol=1e-10)


@every_structure
def test_rescaling_features_rescales_the_maximiser(structure):
    """Each feature by its own factor where the family allows it, all by one factor for round covariances."""
    scatter, counts = random_problem(8, 3, 2)
    scale = np.array([1e-3, 50.0]) if structure.scales_by_feature else np.array([50.0, 50.0])
    found = structure.maximise(as_given(structure, scatter), counts, 0.0, None)
    scaled = structure.maximise(as_given(structure, scatter * np.outer(scale, scale)), counts, 0.0, None)
    np.testing.assert_allclose(
        structure.matrices(scaled, 3, 2), structure.matrices(found, 3, 2) * np.outer(scale, scale), rtol=1e-14
    )


# ---- one natural array, many readings ------------------------------------------------------------------------------------------------


def random_member(structure, n_components, n_features, seed=9):
    """A natural array of the family and, by this file's own table, its matrices."""
    free = np.random.default_rng(seed).uniform(0.5, 2.0, n_free(structure.name, n_components, n_features))
    matrices = unpack(structure.name, free, n_components, n_features)
    _, form, shared = FAMILIES[structure.name]
    blocks = {
        "matrix": matrices,
        "axes": np.diagonal(matrices, axis1=1, axis2=2),
        "round": matrices[:, 0, 0],
    }[form]
    return np.array(blocks[0] if shared else blocks), matrices


@every_structure
@every_shape
def test_matrices_variances_and_shape_agree_with_the_family(structure, n_components, n_features):
    shape = (n_components, n_features)
    natural, matrices = random_member(structure, *shape)
    assert structure.shape(*shape) == natural.shape
    np.testing.assert_array_equal(structure.matrices(natural, *shape), matrices)
    np.testing.assert_array_equal(structure.variances(natural, *shape), np.diagonal(matrices, axis1=1, axis2=2))


@every_structure
@every_shape
def test_the_factor_times_its_transpose_is_the_inverse(structure, n_components, n_features):
    shape = (n_components, n_features)
    natural, matrices = random_member(structure, *shape)
    factor, singular = structure.factor(natural, np.zeros(shape))
    assert np.shape(factor) == natural.shape
    assert not singular.any()
    whitening = structure.whitening(factor, *shape)
    if structure.diagonal:
        assert whitening.shape == shape
        whitening = whitening[:, :, None] * np.eye(n_features)
    assert whitening.shape == (n_components, n_features, n_features)
    np.testing.assert_array_equal(whitening, np.triu(whitening))
    inverses = np.linalg.inv(matrices)
    np.testing.assert_allclose(whitening @ whitening.swapaxes(1, 2), inverses, rtol=1e-11, atol=1e-12)
    precisions = structure.precisions(factor)
    assert np.shape(precisions) == natural.shape
    np.testing.assert_allclose(structure.matrices(np.asarray(precisions), *shape), inverses, rtol=1e-11, atol=1e-12)
    whitened = whitening.swapaxes(1, 2) @ matrices @ whitening
    np.testing.assert_allclose(whitened, np.broadcast_to(np.eye(n_features), whitened.shape), atol=1e-12)


@every_structure
@every_shape
def test_parameters_are_as_many_as_the_family_has_directions(structure, n_components, n_features):
    """The rank of the map from free coordinates to covariance matrices."""
    shape = (n_components, n_features)
    size = n_free(structure.name, *shape)
    centre = np.random.default_rng(10).uniform(0.5, 2.0, size)
    step = 1e-5

    def flat(free):
        return unpack(structure.name, free, *shape).ravel()

    jacobian = np.stack([(flat(centre + d) - flat(centre - d)) / (2 * step) for d in step * np.eye(size)])
    assert structure.n_parameters(*shape) == np.linalg.matrix_rank(jacobian, tol=1e-6)


@every_structure
def test_reorder_puts_the_components_in_the_order_asked_for(structure):
    natural, matrices = random_member(structure, 4, 3)
    order = np.array([2, 0, 3, 1])
    moved = structure.reorder(natural, order)
    np.testing.assert_array_equal(structure.matrices(moved, 4, 3), matrices[order])


@every_structure
@every_shape
def test_a_member_of_the_family_is_nearest_to_itself(structure, n_components, n_features):
    natural, matrices = random_member(structure, n_components, n_features)
    counts = np.random.default_rng(11).uniform(1, 5, n_components)
    found = structure.from_matrices(matrices, counts)
    np.testing.assert_allclose(found, natural, rtol=1e-13, atol=1e-14)


@every_structure
def test_from_matrices_gives_the_nearest_member_in_likelihood(structure):
    shape = (3, 2)
    scatter, counts = random_problem(12, *shape)
    matrices = scatter / counts[:, None, None]
    found = structure.matrices(structure.from_matrices(matrices, counts), *shape)
    assert_nothing_beats(
        structure, found, lambda rival: objective(rival, scatter, counts), shape, 0.0, np.random.default_rng(13)
    )


# ---- what counts as singular ---------------------------------------------------------------------------------------------------------


@every_structure
def test_a_variance_of_zero_is_singular_and_the_component_is_named(structure):
    variances = np.array([[1.0, 2.0], [0.0, 0.0], [3.0, 1.0]])
    matrices = variances[:, :, None] * np.eye(2)
    _, form, shared = FAMILIES[structure.name]
    natural = {"matrix": matrices, "axes": variances, "round": variances[:, 0]}[form]
    _, singular = structure.factor(natural[1] if shared else natural, np.zeros((3, 2)))
    assert singular.tolist() == ([True] if shared else [False, True, False])


@every_structure
def test_a_variance_no_larger_than_rounding_is_singular(structure):
    natural, matrices = random_member(structure, 3, 2)
    variances = np.diagonal(matrices, axis1=1, axis2=2)
    assert not structure.factor(natural, 0.999 * variances)[1].any()
    assert structure.factor(natural, variances)[1].all()


@pytest.mark.parametrize("name", ["full", "tied"])
@pytest.mark.parametrize("scale", [(1, 1, 1), (1e-150, 1, 1e150), (1e9, 1e-9, 1)], ids=str)
def test_dependence_between_features_is_seen_at_any_scale(name, scale):
    """Rescaling features changes neither a verdict of singular nor one of sound."""
    structure, scaling = covariance_structure(name), np.outer(scale, scale)
    half = np.random.default_rng(14).normal(size=(3, 3))
    sound, dependent = half @ half.T, half[:, :2] @ half[:, :2].T
    for matrix, verdict in [(sound, False), (dependent, True)]:
        natural = (matrix * scaling)[None] if name == "full" else matrix * scaling
        factor, singular = structure.factor(natural, np.zeros((1, 3)))
        assert singular.tolist() == [verdict]
        if not verdict:
            whitening = structure.whitening(factor, 1, 3)[0]
            np.testing.assert_allclose(whitening.T @ (matrix * scaling) @ whitening, np.eye(3), atol=1e-10)


def test_one_singular_matrix_does_not_spoil_its_neighbours():
    structure = covariance_structure("full")
    sound = np.array([[2.0, 1.0], [1.0, 3.0]])
    factor, singular = structure.factor(np.stack([sound, np.ones((2, 2)), sound]), np.zeros((3, 2)))
    assert singular.tolist() == [False, True, False]
    for k in (0, 2):
        np.testing.assert_allclose(factor[k] @ factor[k].T, np.linalg.inv(sound), rtol=1e-14)


# ---- the registry --------------------------------------------------------------------------------------------------------------------


def test_the_registry_holds_the_six_families_and_no_other():
    assert {s.name: s.code for s in STRUCTURES} == {name: code for name, (code, *_) in FAMILIES.items()}


@pytest.mark.parametrize("name", FAMILIES)
def test_name_and_code_lead_to_one_object(name):
    structure = covariance_structure(name)
    assert structure.name == name
    assert covariance_structure(FAMILIES[name][0]) is structure
    assert any(structure is listed for listed in STRUCTURES)


@pytest.mark.parametrize("name", ["round", "Full", "", None, 3, ["full"]])
def test_an_unknown_name_is_met_with_the_list_of_known_ones(name):
    with pytest.raises(InvalidParameterError, match=r"full \(VVV\).*tied_spherical \(EII\)") as caught:
        covariance_structure(name)
    assert repr(name) in str(caught.value)
