"""A mixture as an object: what it refuses, that it cannot change, and that it survives copying, pickling and reordering."""

import copy
import pickle

import numpy as np
import pytest

from mixtura.assess.describe import describe
from mixtura.ground.errors import InvalidParameterError
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.mixture import Mixture

EYE = np.eye(2)
GOOD = {"weights": [0.25, 0.75], "means": [[0.0, 1.0], [2.0, 3.0]], "covariances": [EYE, 2 * EYE]}
COVARIANCES = {
    "full": [[[2.0, 0.5], [0.5, 1.0]], [[1.0, -0.5], [-0.5, 3.0]], [[1.0, 0.0], [0.0, 1.0]]],
    "tied": [[2.0, 0.5], [0.5, 1.0]],
    "diag": [[2.0, 1.0], [1.0, 3.0], [1.0, 1.0]],
    "tied_diag": [2.0, 1.0],
    "spherical": [2.0, 1.0, 3.0],
    "tied_spherical": 2.0,
}
# Covariances of K components in D dimensions: the table of the mathematics notes.
PARAMETERS = {
    "full": lambda k, d: k * d * (d + 1) // 2,
    "tied": lambda k, d: d * (d + 1) // 2,
    "diag": lambda k, d: k * d,
    "tied_diag": lambda k, d: d,
    "spherical": lambda k, d: k,
    "tied_spherical": lambda k, d: 1,
}
every_type = pytest.mark.parametrize("name", COVARIANCES)


def example(name, **more):
    return Mixture([0.2, 0.3, 0.5], [[0.0, 1.0], [2.0, 3.0], [-1.0, 4.0]], COVARIANCES[name], name, **more)


# ---- construction ------------------------------------------------------------------------------------------------------------------

# What is changed in a good mixture, and what the message must hold: the thing and the value seen.
REFUSED = [
    ({"weights": [0.25, 0.25]}, r"weights must sum to 1.*0\.5.*Divide"),
    ({"weights": [0.25, 0.75 + 3e-8]}, "weights must sum to 1"),
    ({"weights": [1.25, -0.25]}, "weights must not be negative; component 1 has -0.25"),
    ({"weights": [np.nan, 1.0]}, "weights must be finite; got nan"),
    ({"weights": [np.inf, 1.0]}, "weights must be finite; got inf"),
    ({"weights": [[0.25, 0.75]]}, r"weights must have shape \(K,\).*\(1, 2\)"),
    ({"weights": []}, r"weights must have shape \(K,\).*\(0,\)"),
    ({"weights": 1.0}, r"weights must have shape \(K,\).*\(\)"),
    ({"weights": ["a", "b"]}, "weights must be an array of numbers"),
    ({"weights": None}, "weights must be"),
    ({"weights": [10**400, 1]}, "weights must be"),
    ({"weights": np.array([0.25 + 1j, 0.75])}, "weights must be"),
    ({"means": [[0.0, 1.0]]}, r"means must have shape \(K, D\) with K = 2.*\(1, 2\)"),
    ({"means": [0.0, 1.0]}, r"means must have shape.*\(2,\)"),
    ({"means": np.zeros((2, 0))}, r"means must have shape.*\(2, 0\)"),
    ({"means": [[0.0], [1.0, 2.0]]}, "means must be an array of numbers"),
    ({"means": [[0.0, np.nan], [0.0, 0.0]]}, "means must be finite; got nan"),
    ({"covariances": EYE}, r"covariances of covariance type 'full' must have shape \(2, 2, 2\).*got \(2, 2\)"),
    ({"covariances": np.ones(2), "covariance_type": "diag"}, r"must have shape \(2, 2\).*got \(2,\)"),
    ({"covariances": [1.0], "covariance_type": "tied_spherical"}, r"must have shape \(\).*got \(1,\)"),
    ({"covariances": [EYE, np.full((2, 2), np.inf)]}, "covariances must be finite; got inf"),
    ({"covariances": [EYE, [[1.0, 0.5], [-0.5, 1.0]]]}, "covariances must be symmetric"),
    ({"covariances": [1e10 * EYE, [[1.0, 0.5], [-0.5, 1.0]]]}, "covariances must be symmetric"),
    ({"covariances": [EYE, [[1e20, 1e9], [-1e9, 1.0]]]}, "covariances must be symmetric"),
    (
        {"covariances": [EYE, [[1.0, 2.0], [2.0, 1.0]]]},
        "positive definite; component 1 has a smallest eigenvalue of -1",
    ),
    ({"covariances": [EYE, [[1.0, 1.0], [1.0, 1.0]]]}, "positive definite; component 1"),
    ({"covariances": -EYE, "covariance_type": "tied"}, "positive definite.*-1"),
    ({"covariances": [[1, 1], [1, -3]], "covariance_type": "diag"}, "positive definite; component 1.*-3"),
    ({"covariances": [1.0, 0.0], "covariance_type": "tied_diag"}, "positive definite"),
    ({"covariances": [1.0, -2.0], "covariance_type": "spherical"}, "positive definite; component 1.*-2"),
    ({"covariances": 0.0, "covariance_type": "tied_spherical"}, "positive definite"),
    ({"covariance_type": "fuller"}, r"covariance_type must be one of full \(VVV\).*'fuller'"),
    ({"covariance_type": None}, "covariance_type must be one of.*None"),
    ({"feature_names": ["a"]}, "feature_names must name 2 columns; got 1"),
    ({"feature_names": "ab"}, "feature_names"),
    ({"feature_names": 3}, "feature_names"),
]


@pytest.mark.parametrize(("change", "said"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_what_is_not_a_mixture_is_refused_and_the_value_named(change, said):
    Mixture(**GOOD)
    with pytest.raises(InvalidParameterError, match=said) as caught:
        Mixture(**{**GOOD, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "covariances"),
    [
        ("full", [[[1.0, 1.0], [1.0, 1.0]]]),
        ("tied", [[1.0, 1.0], [1.0, 1.0]]),
        ("diag", [[1.0, 0.0]]),
        ("tied_diag", [1.0, 0.0]),
        ("spherical", [0.0]),
        ("tied_spherical", 0.0),
    ],
)
def test_a_lone_singular_component_is_refused_too(name, covariances):
    with pytest.raises(InvalidParameterError, match="component 0 has a smallest eigenvalue of"):
        Mixture([1.0], [[0.0, 0.0]], covariances, name)


def test_lists_integers_and_other_layouts_are_taken_as_numbers():
    expected = Mixture(**GOOD)
    assert Mixture([0.25, 0.75], [[0, 1], [2, 3]], [[[1, 0], [0, 1]], [[2, 0], [0, 2]]]) == expected
    assert (
        Mixture((0.25, 0.75), np.asfortranarray(GOOD["means"]), np.asarray(GOOD["covariances"])[::-1][::-1]) == expected
    )
    single = Mixture(*(np.array(GOOD[key], dtype=np.float32) for key in ("weights", "means", "covariances")))
    assert single == expected
    assert single.weights.dtype == single.means.dtype == single.covariances.dtype == np.float64


def test_one_component_in_one_dimension():
    for name, covariances in [("full", [[[4.0]]]), ("tied", [[4.0]]), ("diag", [[4.0]]), ("tied_diag", [4.0]),
                              ("spherical", [4.0]), ("tied_spherical", 4.0)]:  # fmt: skip
        mixture = Mixture([1], [[3]], covariances, name)
        assert mixture.n_parameters == 2
        assert mixture.log_pdf([[5.0]])[0] == pytest.approx(-0.5 - np.log(2) - 0.5 * np.log(2 * np.pi), rel=1e-15)


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e150, 1e300])
@every_type
def test_any_representable_scale_of_variance_will_do(name, scale):
    mixture = Mixture([0.2, 0.3, 0.5], np.zeros((3, 2)), np.multiply(COVARIANCES[name], scale), name)
    expected = example(name)
    np.testing.assert_allclose(mixture.precision_factors * np.sqrt(scale), expected.precision_factors, rtol=1e-13)
    peak = Mixture(expected.weights, np.zeros((3, 2)), expected.covariances, name).log_pdf(np.zeros((1, 2)))
    np.testing.assert_allclose(mixture.log_pdf(np.zeros((1, 2))), peak - np.log(scale), rtol=1e-13)


# ---- what it says of itself ----------------------------------------------------------------------------------------------------------


@every_type
def test_shapes_and_counts(name):
    mixture = example(name)
    assert (mixture.n_components, mixture.n_features, mixture.covariance_type) == (3, 2, name)
    assert mixture.structure is covariance_structure(name)
    assert mixture.n_parameters == 2 + 6 + PARAMETERS[name](3, 2)
    assert repr(mixture) == f"Mixture(n_components=3, n_features=2, covariance_type={name!r})"
    assert mixture.covariance_matrices.shape == (3, 2, 2)
    natural = mixture.structure.shape(3, 2)
    for part in (mixture.covariances, mixture.precision_factors, mixture.precisions):
        assert np.shape(part) == natural


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
@pytest.mark.parametrize(("n_components", "n_features"), [(1, 1), (1, 4), (5, 1), (3, 6)])
def test_parameters_are_counted(structure, n_components, n_features):
    matrices = np.tile(EYE[:1, :1] if n_features == 1 else np.eye(n_features), (n_components, 1, 1))
    weights = np.full(n_components, 1 / n_components)
    mixture = Mixture(
        weights, np.zeros((n_components, n_features)), structure.from_matrices(matrices, weights), structure.code
    )
    covariances = PARAMETERS[structure.name](n_components, n_features)
    assert mixture.n_parameters == n_components - 1 + n_components * n_features + covariances


@every_type
def test_precisions_and_factors_invert_the_covariances(name):
    mixture = example(name)
    precisions = Mixture(mixture.weights, mixture.means, mixture.precisions, name).covariance_matrices
    np.testing.assert_allclose(precisions, np.linalg.inv(mixture.covariance_matrices), rtol=1e-13, atol=1e-15)


# ---- it cannot change ------------------------------------------------------------------------------------------------------------------


@every_type
def test_nothing_of_a_mixture_can_be_written_to(name):
    mixture = example(name, feature_names=["a", "b"])
    before = mixture.log_pdf([[0.5, 0.5]])
    for attribute in ("weights", "means", "covariances", "structure", "feature_names", "n_components", "anything"):
        with pytest.raises(AttributeError, match="immutable"):
            setattr(mixture, attribute, None)
    with pytest.raises(AttributeError, match="immutable"):
        del mixture.means
    scorer = mixture.scorer
    for array in (
        mixture.weights,
        mixture.means,
        mixture.covariances,
        scorer.constants,
        scorer.centres,
        scorer.whitening,
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 1.0
    np.testing.assert_array_equal(mixture.log_pdf([[0.5, 0.5]]), before)


@every_type
def test_what_it_hands_out_cannot_change_it(name):
    """Views are read-only; whatever can be written to is a copy."""
    mixture = example(name)
    before = mixture.log_pdf([[0.5, 0.5]]), mixture.covariance_matrices.copy(), np.copy(mixture.precision_factors)
    for attribute in ("covariance_matrices", "precision_factors", "precisions"):
        array = np.asarray(getattr(mixture, attribute))
        if array.flags.writeable:
            array[...] = 7.0
    fresh = pickle.loads(pickle.dumps(mixture))
    for each in (mixture, fresh):
        np.testing.assert_array_equal(each.log_pdf([[0.5, 0.5]]), before[0])
        np.testing.assert_array_equal(each.covariance_matrices, before[1])
        np.testing.assert_array_equal(each.precision_factors, before[2])


@every_type
def test_changing_the_arrays_it_was_made_from_changes_nothing(name):
    given = [np.array([0.2, 0.3, 0.5]), np.zeros((3, 2)), np.array(COVARIANCES[name])]
    mixture = Mixture(*given, name)
    kept = mixture.weights.copy(), mixture.means.copy(), mixture.covariances.copy()
    for array in given:
        array[...] = 9.0
    for now, then in zip((mixture.weights, mixture.means, mixture.covariances), kept, strict=True):
        np.testing.assert_array_equal(now, then)


def test_it_has_no_hash():
    with pytest.raises(TypeError, match="unhashable"):
        hash(example("full"))


# ---- copies, equality, order, names ----------------------------------------------------------------------------------------------------


@every_type
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_equal_and_as_immutable(name, again):
    mixture = example(name, feature_names=["a", "b"])
    rows = np.random.default_rng(0).normal(size=(20, 2))
    expected = mixture.log_pdf(rows)
    twin = again(mixture)
    assert twin == mixture
    assert twin.structure is mixture.structure
    assert twin.feature_names == ("a", "b")
    np.testing.assert_array_equal(twin.log_pdf(rows), expected)
    with pytest.raises(ValueError, match="read-only"):
        twin.means[...] = 0.0


@every_type
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_protocol(name, protocol):
    assert pickle.loads(pickle.dumps(example(name), protocol)) == example(name)


def test_equal_means_the_same_in_every_part():
    mixture = example("diag")
    assert mixture == example("diag")
    assert mixture != example("full")
    assert mixture != example("diag", feature_names=["a", "b"])
    assert mixture != mixture.reorder([1, 0, 2])
    assert mixture != Mixture(mixture.weights[::-1], mixture.means, mixture.covariances, "diag")
    assert mixture != Mixture(mixture.weights, np.nextafter(mixture.means, 9), mixture.covariances, "diag")
    assert mixture != Mixture(mixture.weights, mixture.means, np.nextafter(mixture.covariances, 9), "diag")
    assert mixture != "a mixture"
    assert (mixture == None) is False  # noqa: E711


@every_type
def test_reordering_moves_components_and_not_the_density(name):
    mixture, order = example(name, feature_names=["a", "b"]), [2, 0, 1]
    moved = mixture.reorder(order)
    np.testing.assert_array_equal(moved.weights, mixture.weights[order])
    np.testing.assert_array_equal(moved.means, mixture.means[order])
    np.testing.assert_array_equal(moved.covariance_matrices, mixture.covariance_matrices[order])
    assert moved.feature_names == ("a", "b")
    rows = np.random.default_rng(1).normal(size=(30, 2))
    np.testing.assert_allclose(moved.log_pdf(rows), mixture.log_pdf(rows), rtol=1e-13)
    np.testing.assert_allclose(moved.responsibilities(rows), mixture.responsibilities(rows)[:, order], rtol=1e-12)
    assert moved.reorder(np.argsort(order)) == mixture
    assert mixture.reorder(range(3)) == mixture


@pytest.mark.parametrize(
    "order", [[0, 0, 1], [0, 1], [1, 2, 3], [0, 1, 2, 3], [], 0, [[0, 1, 2]], [0.0, 2.0, 1.0], ["0", "1", "2"], None]
)
def test_what_is_not_a_permutation_is_refused(order):
    with pytest.raises(InvalidParameterError, match="permutation of 0 … 2"):
        example("full").reorder(order)


def test_a_mask_is_not_a_permutation():
    with pytest.raises(InvalidParameterError, match="permutation"):
        Mixture(**GOOD).reorder([True, False])


@pytest.mark.parametrize(
    "names", [["a", "b"], ("a", "b"), np.array(["a", "b"]), np.array(["a", "b"], dtype=object), {"a": 1, "b": 2}.keys()]
)
def test_names_come_from_any_sequence_and_are_kept_as_text(names):
    mixture = example("full", feature_names=names)
    assert mixture.feature_names == ("a", "b")
    assert all(type(name) is str for name in mixture.feature_names)


def test_names_that_are_not_text_become_text():
    """Pandas columns are often numbers."""
    assert example("full", feature_names=[0, 1.5]).feature_names == ("0", "1.5")
    assert example("full").feature_names is None


@every_type
def test_naming_the_columns_gives_a_new_mixture(name):
    mixture = example(name)
    named = mixture.with_feature_names(["x", "y"])
    assert named.feature_names == ("x", "y")
    assert mixture.feature_names is None
    assert named != mixture
    assert named.with_feature_names(None) == mixture
    assert pickle.loads(pickle.dumps(named)) == named
    np.testing.assert_array_equal(named.log_pdf([[1.0, 2.0]]), mixture.log_pdf([[1.0, 2.0]]))
    with pytest.raises(InvalidParameterError, match="2 columns; got 3"):
        mixture.with_feature_names(["x", "y", "z"])


def test_columns_are_called_by_their_names_or_by_their_places():
    one = Mixture([1.0], [[0.0]], [1.0], "spherical")
    three = Mixture([1.0], [[0.0, 1.0, 2.0]], [1.0], "spherical")
    assert (one.column_names, three.column_names) == (("x",), ("x0", "x1", "x2"))
    assert three.with_feature_names(["a", "b", "c"]).column_names == ("a", "b", "c")
    assert "x0, x1, x2" in describe(three)


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
def test_a_structure_is_as_good_as_its_name(structure):
    covariances = np.ones(structure.shape(2, 3)) * (1 if structure.diagonal else np.eye(3))
    named, given = (Mixture([0.5, 0.5], np.zeros((2, 3)), covariances, kind) for kind in (structure.name, structure))
    assert given == named
    assert given.structure is structure
    assert pickle.loads(pickle.dumps(given)) == named
