"""Expected moments in public: sums of parts, batches withdrawn, files, and EM by hand."""

import numpy as np
import pytest

import mixtura as mx
from mixtura.model.covariance import STRUCTURES
from mixtura.model.moments import PARTS


def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(600, 3)) + 4 * rng.integers(0, 3, size=(600, 1))


def naive(mixture, X, weights):
    """The M-step from responsibilities, row by row."""
    shares = mixture.responsibilities(X) * weights[:, None]
    count = shares.sum(axis=0)
    means = shares.T @ X / count[:, None]
    scatter = np.stack([(X - m).T @ ((X - m) * r[:, None]) for m, r in zip(means, shares.T, strict=True)])
    return count, means, scatter


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
def test_steps_by_hand_are_those_of_em(structure):
    X, name = rows(), structure.name
    weights = np.random.default_rng(1).integers(0, 3, len(X)).astype(float)
    for start in range(0, 600, 200):
        mixture = mx.Mixture(np.full(3, 1 / 3), X[[start, start + 1, start + 2]], np.eye(3)[None].repeat(3, axis=0))
        moments = mx.expected_moments(mixture, X, weights)
        count, means, scatter = naive(mixture, X, weights)
        found = mx.Mixture.from_moments(moments, name)
        np.testing.assert_allclose(found.weights, count / count.sum(), rtol=1e-10)
        np.testing.assert_allclose(found.means, means, rtol=1e-9)
        own = np.diagonal(scatter, axis1=1, axis2=2) if structure.diagonal else scatter
        expected = structure.maximise(own, count, 0.0, None)
        np.testing.assert_allclose(found.covariances, expected, rtol=1e-8, atol=1e-10)


def test_parts_add_up_whatever_they_come_in():
    X = rows()
    mixture = mx.GaussianMixture(3, random_state=0, max_iter=3, tol=1e9).fit(X).mixture_
    whole = mx.expected_moments(mixture, X)
    here, there = mx.expected_moments(mixture, [X[:100], X[100:250]]), mx.expected_moments(mixture, X[250:])
    for found in (here + there, there + here, 0.5 * (here + there + whole), whole + here - here):
        np.testing.assert_allclose(found.about(whole.origin).second, whole.second, rtol=1e-9, atol=1e-8)
        np.testing.assert_allclose(found.count, whole.count, rtol=1e-12)
    folds = [X[i::5] for i in range(5)]
    of_folds = [mx.expected_moments(mixture, fold) for fold in folds]
    for left_out, moments in enumerate(of_folds):
        others = np.concatenate([fold for i, fold in enumerate(folds) if i != left_out])
        ours = mx.Mixture.from_moments(whole - moments)
        theirs = mx.Mixture.from_moments(mx.expected_moments(mixture, others))
        np.testing.assert_allclose(ours.covariances, theirs.covariances, rtol=1e-9, atol=1e-12)
        assert ours.log_likelihood(folds[left_out]) == pytest.approx(theirs.log_likelihood(folds[left_out]), rel=1e-9)


@pytest.mark.parametrize("name", ["full", "diag"])
def test_files_keep_every_bit(name, tmp_path):
    X = rows()
    mixture = mx.GaussianMixture(2, covariance_type=name, random_state=0).fit(X).mixture_
    moments, path = mx.expected_moments(mixture, X), tmp_path / "here"
    moments.save(path)
    found = mx.Moments.load(str(path))
    for part in PARTS:
        np.testing.assert_array_equal(getattr(found, part), getattr(moments, part))
    content = path.read_bytes()
    for end in range(0, len(content), 97):
        path.write_bytes(content[:end])
        with pytest.raises(mx.ModelFileError, match="holds no moments"):
            mx.Moments.load(path)
    np.savez(
        path.with_suffix(".npz"),
        count=np.ones(2),
        first=np.ones((2, 3)),
        second=np.ones((2, 2)),
        origin=np.ones((2, 3)),
    )
    with pytest.raises(mx.ModelFileError, match="do not belong together"):
        mx.Moments.load(path.with_suffix(".npz"))
    with pytest.raises(FileNotFoundError):
        mx.Moments.load(tmp_path / "none")


def test_what_has_no_moments_or_no_mixture_is_said():
    X = rows()
    two, three = (mx.GaussianMixture(k, random_state=0).fit(X).mixture_ for k in (2, 3))
    diagonal = mx.GaussianMixture(2, covariance_type="diag", random_state=0).fit(X).mixture_
    moments = mx.expected_moments(two, X)
    for work, said in [
        (
            lambda: moments + mx.expected_moments(three, X),
            "2 components in 3 columns with matrices and of 3 components",
        ),
        (lambda: mx.Mixture.from_moments(mx.expected_moments(diagonal, X)), "'full' needs whole matrices"),
        (lambda: mx.Mixture.from_moments(moments - 2 * moments), "must not be negative"),
        (lambda: mx.Mixture.from_moments(mx.expected_moments(two, X[:1])), "a singular covariance"),
        (lambda: mx.Mixture.from_moments(mx.expected_moments(two, X[:3])), "a singular covariance"),
        (lambda: mx.expected_moments(two, X[:, :2]), r"shape \(N, 3\)"),
        (lambda: mx.expected_moments(two, [X[:, :2]]), "X has 2 columns; the mixture is of 3"),
        (lambda: mx.expected_moments(two, [np.where(X > 5, np.nan, X)]), "values are missing"),
        (lambda: mx.expected_moments(two, [X], np.ones(600)), "have their weights in a column"),
    ]:
        with pytest.raises((mx.DataError, mx.InvalidParameterError), match=said):
            work()
    floored = mx.Mixture.from_moments(mx.expected_moments(two, X[:2]), reg_covar=1e-3)
    assert np.linalg.eigvalsh(floored.covariances).min() > 0.9e-3
