"""The compiled engine beside the other one, beside fifty digits, and beside itself on other threads and other cuts."""

import mpmath
import numpy as np
import pytest

from mixtura.data.array import ArraySource
from mixtura.data.batches import BatchSource
from mixtura.model.scorer import Scorer
from mixtura.sweep import Sampled, Sweep, Weighted, compiled, hard, passes, soft

pytestmark = pytest.mark.skipif(compiled.engine is None, reason=compiled.description)

SETS = () if compiled.engine is None else compiled.engine.instruction_sets()
DIMENSIONS = [1, 2, 3, 4, 5, 7, 8, 9, 10, 13, 15, 16, 17, 20, 33, 64, 100]
SIZES = (1, 3, 4)


@pytest.fixture(params=SETS)
def instruction_set(request):
    """Each that this processor runs."""
    before = compiled.engine.instruction_set()
    compiled.engine.use(request.param)
    yield request.param
    compiled.engine.use(before)


def scorer_of(rng, n_components, n_features, diagonal, spread=3.0):
    centres = rng.normal(size=(n_components, n_features)) * spread
    if diagonal:
        whitening = np.exp(0.3 * rng.normal(size=centres.shape))
    else:
        half = 0.5 * rng.normal(size=(n_components, n_features, n_features)) / np.sqrt(n_features) + np.eye(n_features)
        factors = np.linalg.cholesky(half @ half.swapaxes(1, 2))
        whitening = np.ascontiguousarray(np.linalg.inv(factors).swapaxes(1, 2))
    return Scorer.of(rng.dirichlet(np.ones(n_components)), centres, whitening)


def assignments(kind, rng, n_rows):
    """One for each of the mixtures, and the labels that are drawn, if any are."""
    if kind == "weighted":
        weights = rng.uniform(0.5, 2, (len(SIZES), n_rows))
        return [Weighted(weights * (n_rows / weights.sum(axis=1, keepdims=True)))] * len(SIZES), []
    if kind.startswith("sampled"):
        keys = [rng.integers(2**63, size=2).astype(np.uint64) for _ in SIZES]
        labels = [np.full(n_rows, -1, np.int32) for _ in SIZES]
        n_open = [None, 2, 3] if kind == "sampled among some" else [None] * len(SIZES)
        return [Sampled(*parts) for parts in zip(keys, labels, n_open, strict=True)], labels
    return [soft if kind == "soft" else hard] * len(SIZES), []


def both(monkeypatch, source, scorers, kind):
    """What either engine answers, and the labels that it draws."""
    answers = []
    for engine in (compiled.engine, None):
        monkeypatch.setattr(compiled, "engine", engine)
        shared, labels = assignments(kind, np.random.default_rng(5), source.n_rows)
        with Sweep(source) as sweep:
            answers.append((sweep(scorers, shared), labels))
    return answers


def agree(found, expected, rows, centres, tolerance):
    """Moments about the centres, beside what the sums of absolute terms may be."""
    found, expected = found.about(centres), expected.about(centres)
    n, most = len(rows), np.abs(rows - centres[:, None]).max()
    np.testing.assert_allclose(found.count, expected.count, rtol=0, atol=tolerance * n)
    np.testing.assert_allclose(found.first, expected.first, rtol=0, atol=tolerance * n * most)
    np.testing.assert_allclose(found.second, expected.second, rtol=0, atol=tolerance * n * most**2)


@pytest.mark.parametrize("diagonal", [False, True], ids=["matrices", "diagonal"])
@pytest.mark.parametrize("kind", ["soft", "hard", "weighted", "sampled", "sampled among some"])
@pytest.mark.parametrize("n_features", DIMENSIONS)
def test_both_engines_agree(instruction_set, monkeypatch, n_features, kind, diagonal):
    rng = np.random.default_rng(n_features)
    for n_rows, weighted in [(1, False), (7, True), (300, False), (1000, True)]:
        scorers = [scorer_of(rng, size, n_features, diagonal) for size in SIZES]
        X = 4 * rng.normal(size=(n_rows, n_features))
        source = ArraySource(X, rng.uniform(0.5, 2, n_rows) if weighted and kind != "weighted" else None)
        (found, drawn), (expected, drawn_before) = both(monkeypatch, source, scorers, kind)
        for scorer, one, other in zip(scorers, found, expected, strict=True):
            assert one.log_normaliser == pytest.approx(other.log_normaliser, rel=1e-12, abs=1e-12)
            agree(one.moments, other.moments, X, scorer.centres, 1e-12)
        for one, other in zip(drawn, drawn_before, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("diagonal", [False, True], ids=["matrices", "diagonal"])
@pytest.mark.parametrize("n_features", DIMENSIONS)
def test_both_engines_agree_in_float32(instruction_set, monkeypatch, n_features, diagonal):
    rng = np.random.default_rng(n_features)
    scorers = [scorer_of(rng, size, n_features, diagonal) for size in SIZES]
    X = (4 * rng.normal(size=(2000, n_features))).astype(np.float32)
    (found, _), _ = both(monkeypatch, ArraySource(X), scorers, "soft")
    monkeypatch.setattr(compiled, "engine", None)
    with Sweep(ArraySource(X.astype(np.float64))) as sweep:
        expected = sweep(scorers)
    for scorer, one, other in zip(scorers, found, expected, strict=True):
        assert one.log_normaliser == pytest.approx(other.log_normaliser, rel=5e-8)
        agree(one.moments, other.moments, X, scorer.centres, 1e-6)


@pytest.mark.parametrize("diagonal", [False, True], ids=["matrices", "diagonal"])
@pytest.mark.parametrize("n_features", [1, 3, 10, 20])
def test_fits_agree(instruction_set, monkeypatch, n_features, diagonal):
    rng = np.random.default_rng(n_features)
    scorers = [scorer_of(rng, size, n_features, diagonal) for size in SIZES]
    source = ArraySource(4 * rng.normal(size=(500, n_features)), rng.uniform(0.5, 2, 500))
    found = []
    for engine in (compiled.engine, None):
        monkeypatch.setattr(compiled, "engine", engine)
        with Sweep(source) as sweep:
            found.append(sweep.fits(scorers))
    for one, other in zip(*found, strict=True):
        assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-12)
        assert one.certainty == pytest.approx(other.certainty, rel=1e-9, abs=1e-10)


# ---- digits ------------------------------------------------------------------------------------------------------------------


def in_fifty_digits(X, scorer):
    """Log-normaliser, counts, and second moments about the centres."""
    with mpmath.workdps(50):
        n_components, n_features = scorer.centres.shape
        constants, centres, whitening = (
            [mpmath.mpf(float(x)) for x in array.ravel()]
            for array in (scorer.constants, scorer.centres, scorer.with_matrices().whitening)
        )
        log_normaliser, count = mpmath.mpf(0), [mpmath.mpf(0)] * n_components
        second = [[mpmath.mpf(0)] * n_features for _ in range(n_components)]
        for row in X:
            residuals, logs = [], []
            for k in range(n_components):
                r = [mpmath.mpf(float(x)) - centres[k * n_features + j] for j, x in enumerate(row)]
                y = [
                    sum(r[j] * whitening[(k * n_features + j) * n_features + i] for j in range(n_features))
                    for i in range(n_features)
                ]
                residuals.append(r)
                logs.append(constants[k] - sum(v * v for v in y) / 2)
            peak = max(logs)
            total = sum(mpmath.exp(v - peak) for v in logs)
            log_normaliser += peak + mpmath.log(total)
            for k in range(n_components):
                share = mpmath.exp(logs[k] - peak) / total
                count[k] += share
                for j in range(n_features):
                    second[k][j] += share * residuals[k][j] ** 2
        return float(log_normaliser), np.array(count, float), np.array(second, float)


@pytest.mark.parametrize(
    ("scale", "shift", "spread"),
    [(1.0, 0.0, 2.0), (1.0, 1e6, 2.0), (1e-9, 0.0, 2.0), (1e9, 0.0, 2.0), (1.0, 0.0, 1e6)],
    ids=["plain", "shifted", "tiny", "huge", "far apart"],
)
@pytest.mark.parametrize("diagonal", [False, True], ids=["matrices", "diagonal"])
@pytest.mark.parametrize("n_features", [2, 9])
def test_digits(instruction_set, n_features, diagonal, scale, shift, spread):
    rng = np.random.default_rng(n_features)
    plain = scorer_of(rng, 3, n_features, diagonal, spread)
    labels = rng.integers(3, size=40)
    X = scale * (plain.centres[labels] + rng.normal(size=(40, n_features)) + shift)
    scorer = Scorer(plain.constants, scale * (plain.centres + shift), plain.whitening / scale)
    log_normaliser, count, second = in_fifty_digits(X, scorer)
    with Sweep(ArraySource(X)) as sweep:
        (swept,) = sweep([scorer])
    moments = swept.moments.about(scorer.centres)
    # A score is a sum of D squares and a constant: rounding leaves it so many times its own size.
    assert swept.log_normaliser == pytest.approx(log_normaliser, rel=5e-15, abs=40 * n_features * 4e-15)
    np.testing.assert_allclose(moments.count, count, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        moments.second if diagonal else np.einsum("kdd->kd", moments.second),
        second,
        rtol=1e-12,
        atol=1e-13 * second.max(),
    )


# ---- rows far from everything --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("diagonal", [False, True], ids=["matrices", "diagonal"])
@pytest.mark.parametrize("n_features", [1, 2, 6, 12, 40, 200])
def test_far_rows_are_shared_from_their_own_peak(instruction_set, monkeypatch, n_features, diagonal, dtype):
    rng = np.random.default_rng(n_features)
    scorer = scorer_of(rng, 3, n_features, diagonal)
    X = rng.normal(size=(700, n_features)).astype(dtype)
    X[::97] *= 300
    X[5] *= 1e5
    (found, _), _ = both(monkeypatch, ArraySource(X), [scorer] * len(SIZES), "soft")
    monkeypatch.setattr(compiled, "engine", None)
    with Sweep(ArraySource(X.astype(np.float64))) as sweep:
        (expected,) = sweep([scorer])
    tight = dtype == np.float64
    assert found[0].log_normaliser == pytest.approx(expected.log_normaliser, rel=1e-12 if tight else 1e-6)
    np.testing.assert_allclose(found[0].moments.count, expected.moments.count, atol=1e-9 if tight else 2e-2)


def test_a_row_without_any_density_is_shared_evenly_and_said(instruction_set):
    X = np.array([[0.0], [1e200]])
    scorer = Scorer.of(np.array([0.5, 0.5]), np.zeros((2, 1)), np.array([[1.0], [1.0]]))
    totals = np.empty(2 + 2 * 3 - 1)
    for sharing in (0, 1):
        members = [(sharing, None, None, None, None, 0, -1)]
        compiled.engine.sweep(
            X, None, 0, 2, 1, scorer.constants, scorer.centres, scorer.whitening, [2], members, 8, True, totals
        )
        assert totals[0] == -np.inf
        np.testing.assert_allclose(totals[[1, 4]], [1.0, 1.0])


# ---- threads, cuts, and what it is handed --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_features", [2, 20])
def test_threads_and_cuts_do_not_change_a_bit(instruction_set, monkeypatch, n_features, dtype):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60_001, n_features)).astype(dtype)
    scorers = [scorer_of(rng, size, n_features, False, 1.0) for size in SIZES]
    monkeypatch.setattr(passes, "LEAST_SHARED", 0)
    answers = []
    for n_threads in (1, 2, 3):
        monkeypatch.setattr(passes, "n_threads", lambda n=n_threads: n)
        batches = BatchSource(lambda: [(X[:17], None), (X[17:30_000], None), (X[30_000:], None)])
        for source in (ArraySource(X), batches):
            with Sweep(source) as sweep:
                answers.append(sweep(scorers))
    for answer in answers[1:]:
        for one, other in zip(answers[0], answer, strict=True):
            assert one.log_normaliser == other.log_normaliser
            for name in ("count", "first", "second", "origin"):
                np.testing.assert_array_equal(getattr(one.moments, name), getattr(other.moments, name))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"totals": np.empty(3)}, "totals of another size"),
        ({"members": [(2, None, np.zeros(2, np.uint64), np.zeros(4, np.int32), None, 0, -1)]}, "labels"),
        ({"members": [(0, np.ones(4), None, None, None, 0, -1)]}, "weights"),
        ({"members": [(2, None, np.zeros(2, np.uint64), None, None, 0, 2)]}, "open components"),
        ({"weights": np.ones(4)}, "weights"),
        ({"centres": np.zeros((1, 2))}, "centres"),
        ({"sizes": [2]}, "sizes"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(change, message):
    given = {
        "rows": np.zeros((5, 1)), "weights": None, "position": 0, "strip_rows": 5, "threads": 1, "constants": np.zeros(1),
        "centres": np.zeros((1, 1)), "whitening": np.ones((1, 1)), "sizes": [1], "members": None, "precision": 8, "moments": True,
        "totals": np.empty(4),
    }  # fmt: skip
    compiled.engine.sweep(*given.values())
    with pytest.raises(ValueError, match=message):
        compiled.engine.sweep(*(given | change).values())
