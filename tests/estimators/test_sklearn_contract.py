"""scikit-learn's own checks, and the conventions around them."""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn.mixture
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import mixtura as mx

ESTIMATORS = [
    mx.GaussianMixture(),
    mx.GaussianMixture(2, covariance_type="diag", random_state=0),
    mx.GaussianMixture(3, covariance_type="tied", random_state=0),
    mx.GaussianMixture(2, covariance_type="spherical", init_params="random_from_data", random_state=0),
    mx.GaussianMixture(2, covariance_prior="empirical", reg_covar=1e-3, n_init=2, random_state=0),
    mx.GaussianMixture(2, solver="gradient", random_state=0),
    mx.GaussianMixtureSearch([1, 2], covariance_type=["full", "spherical"], n_init=2, random_state=0),
]


# The checks fit rows that lie in a subspace on purpose, where these two warnings are the right answer.
@pytest.mark.filterwarnings("ignore::mixtura.CollapseWarning", "ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(ESTIMATORS)
def test_estimator_checks(estimator, check):
    check(estimator)


def test_every_parameter_of_scikit_learn_with_its_default():
    theirs = sklearn.mixture.GaussianMixture().get_params()
    ours = mx.GaussianMixture().get_params()
    assert {name: ours[name] for name in theirs} == theirs | {"reg_covar": "auto"}


def test_every_public_attribute_and_method_of_scikit_learn(faithful):
    theirs = sklearn.mixture.GaussianMixture(2, random_state=0).fit(faithful)
    ours = mx.GaussianMixture(2, random_state=0).fit(faithful)
    for name in (n for n in dir(theirs) if not n.startswith("_")):
        assert hasattr(ours, name), name
        value = getattr(theirs, name)
        if isinstance(value, np.ndarray):
            assert getattr(ours, name).shape == value.shape, name
    assert len(ours.lower_bounds_) == ours.n_iter_
    assert ours.lower_bounds_[-1] == ours.lower_bound_


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_same_start_gives_scikit_learns_answer(covariance_type, n_components, faithful):
    rng = np.random.default_rng(0)
    start = {
        "weights_init": np.full(n_components, 1 / n_components),
        "means_init": faithful[rng.choice(len(faithful), n_components, replace=False)],
        "precisions_init": {
            "full": np.repeat(np.diag([1.0, 0.01])[None], n_components, axis=0),
            "tied": np.diag([1.0, 0.01]),
            "diag": np.tile([1.0, 0.01], (n_components, 1)),
            "spherical": np.full(n_components, 0.05),
        }[covariance_type],
    }
    settings = {"covariance_type": covariance_type, "reg_covar": 0.0, "max_iter": 25, "tol": 0.0} | start
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ours = mx.GaussianMixture(n_components, **settings).fit(faithful)
        theirs = sklearn.mixture.GaussianMixture(n_components, **settings | {"max_iter": ours.n_iter_}).fit(faithful)
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-9, atol=1e-10, err_msg=name)
    np.testing.assert_allclose(ours.predict_proba(faithful), theirs.predict_proba(faithful), atol=1e-10)
    np.testing.assert_allclose(ours.score_samples(faithful), theirs.score_samples(faithful), rtol=1e-10)
    for criterion in ("bic", "aic", "score"):
        assert getattr(ours, criterion)(faithful) == pytest.approx(getattr(theirs, criterion)(faithful), rel=1e-11)


# Both stop short where an ascent has many local steps ahead; that is not what is compared.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore::mixtura.CollapseWarning")
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("name", ["faithful", "iris", "wreath"])
def test_changing_the_import_does_not_make_the_answer_worse(name, covariance_type, request):
    X = request.getfixturevalue(name)
    settings = {"covariance_type": covariance_type, "max_iter": 200}
    for n_components in (2, 3, 5):
        ours, theirs = (
            np.median([kind(n_components, random_state=s, **settings).fit(X).score(X) for s in range(5)])
            for kind in (mx.GaussianMixture, sklearn.mixture.GaussianMixture)
        )
        assert ours >= theirs - 1e-3


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, lambda d: pa.table(d)], ids=["pandas", "polars", "arrow"])
def test_tables_keep_their_column_names(make, faithful):
    table = make({"eruptions": faithful[:, 0], "waiting": faithful[:, 1]})
    gm = mx.GaussianMixture(2, random_state=0).fit(table)
    plain = mx.GaussianMixture(2, random_state=0).fit(faithful)
    np.testing.assert_array_equal(gm.means_, plain.means_)
    assert list(gm.feature_names_in_) == ["eruptions", "waiting"]
    assert gm.mixture_.feature_names == ("eruptions", "waiting")
    np.testing.assert_array_equal(gm.predict(table), plain.predict(faithful))


def test_an_arrow_stream_is_enough(faithful):
    class Stream:
        def __arrow_c_stream__(self, requested_schema=None):
            return pa.table({"a": faithful[:, 0], "b": faithful[:, 1]}).__arrow_c_stream__(requested_schema)

    gm = mx.GaussianMixture(2, random_state=0).fit(Stream())
    assert list(gm.feature_names_in_) == ["a", "b"]
    assert gm.predict(Stream()).shape == (272,)


def test_reordered_columns_are_refused(faithful):
    table = pd.DataFrame(faithful, columns=["eruptions", "waiting"])
    gm = mx.GaussianMixture(2, random_state=0).fit(table)
    with pytest.raises(ValueError, match="feature names"):
        gm.predict(table[["waiting", "eruptions"]])


def test_meta_estimators(faithful):
    pipeline = make_pipeline(StandardScaler(), mx.GaussianMixture(random_state=0))
    grid = GridSearchCV(pipeline, {"gaussianmixture__n_components": [1, 2, 3]}, cv=3).fit(faithful)
    assert grid.best_params_["gaussianmixture__n_components"] > 1
    by_bic = GridSearchCV(
        mx.GaussianMixture(random_state=0),
        {"n_components": [1, 2, 3]},
        scoring=lambda estimator, X: -estimator.bic(X),
        cv=[(np.arange(272), np.arange(272))],
    ).fit(faithful)
    assert by_bic.best_params_ == {"n_components": 2}
    assert np.isfinite(cross_val_score(mx.GaussianMixture(2, random_state=0), faithful, cv=3)).all()
    columns = ColumnTransformer([("mixture", mx.GaussianMixture(2, random_state=0), [0])], remainder="passthrough")
    assert columns.fit_transform(faithful).shape == (272, 3)


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_set_output(container, faithful):
    gm = mx.GaussianMixture(2, random_state=0).set_output(transform=container)
    table = gm.fit_transform(faithful)
    assert list(table.columns) == ["gaussianmixture0", "gaussianmixture1"] == list(gm.get_feature_names_out())
    np.testing.assert_array_equal(table.to_numpy(), gm.predict_proba(faithful))


def test_sample_weight_is_routed_through_a_pipeline(faithful):
    import sklearn

    weights = np.r_[np.ones(136), np.zeros(136)]
    with sklearn.config_context(enable_metadata_routing=True):
        gm = mx.GaussianMixture(2, random_state=0).set_fit_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), gm)
        pipeline.fit(faithful, sample_weight=weights)
    scaled = StandardScaler().fit_transform(faithful)
    direct = mx.GaussianMixture(2, random_state=0).fit(scaled[:136])
    np.testing.assert_allclose(pipeline[-1].means_, direct.means_, rtol=1e-10)


def test_fit_leaves_parameters_alone(faithful):
    start = faithful[:2].tolist()
    gm = mx.GaussianMixture(2, means_init=start, init_params="random")
    before = gm.get_params()
    gm.fit(faithful)
    assert gm.means_init is start
    assert all(gm.get_params()[name] is value for name, value in before.items())
    assert "GaussianMixture" in repr(gm)
    assert "GaussianMixture" in gm._repr_html_()
    again = clone(gm)
    with pytest.raises(NotFittedError):
        again.predict(faithful)
    with pytest.raises(NotFittedError):
        _ = again.mixture_


def test_pickling_and_copies_predict_the_same(faithful):
    gm = mx.GaussianMixture(2, random_state=0).fit(faithful)
    again = pickle.loads(pickle.dumps(gm))
    np.testing.assert_array_equal(again.score_samples(faithful), gm.score_samples(faithful))
    assert again.mixture_ == gm.mixture_
    assert again.stop_ == gm.stop_


def test_parameters_set_by_hand_are_obeyed(faithful):
    gm = mx.GaussianMixture(2, covariance_type="diag", random_state=0).fit(faithful)
    gm.means_ = gm.means_ + 1.0
    expected = mx.Mixture(gm.weights_, gm.means_, gm.covariances_, "diag").log_pdf(faithful)
    np.testing.assert_array_equal(gm.score_samples(faithful), expected)
    bare = mx.GaussianMixture(1)
    bare.weights_, bare.means_, bare.covariances_ = np.ones(1), np.zeros((1, 1)), np.ones((1, 1, 1))
    assert bare.sample(3, random_state=0)[0].shape == (3, 1)


def test_predict_agrees_with_itself(iris):
    gm = mx.GaussianMixture(3, random_state=0)
    labels = gm.fit_predict(iris)
    np.testing.assert_array_equal(labels, clone(gm).fit(iris).predict(iris))
    proba = gm.predict_proba(iris)
    np.testing.assert_array_equal(labels, proba.argmax(axis=1))
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-14)
    assert labels.dtype == np.int64
    assert gm.score(iris) == pytest.approx(gm.score_samples(iris).mean(), rel=1e-14)
    assert np.isfinite(gm.score_samples(iris + 1e10)).all()


def test_random_states(faithful):
    def means(state):
        return mx.GaussianMixture(4, n_init=2, init_params="random_from_data", random_state=state).fit(faithful).means_

    np.testing.assert_array_equal(means(3), means(3))
    np.testing.assert_array_equal(means(np.random.RandomState(3)), means(np.random.RandomState(3)))
    np.testing.assert_array_equal(means(np.random.default_rng(3)), means(np.random.default_rng(3)))
    gm = mx.GaussianMixture(2, random_state=1).fit(faithful)
    np.testing.assert_array_equal(gm.sample(5)[0], gm.sample(5)[0])
    rng = np.random.default_rng(0)
    X, y = gm.sample(5, random_state=rng)
    assert not np.array_equal(X, gm.sample(5, random_state=rng)[0])
    assert y.dtype == np.int64


def test_warm_start_goes_on_where_it_stopped(iris):
    gm = mx.GaussianMixture(4, max_iter=1, warm_start=True, random_state=0, tol=0)
    bounds = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(5):
            bounds.append(gm.fit(iris).lower_bound_)
    assert (np.diff(bounds) > 0).all()


def test_warnings_mean_something(iris):
    with pytest.warns(ConvergenceWarning, match=r"max_iter=1: .* still to come"):
        mx.GaussianMixture(4, max_iter=1, random_state=0, tol=1e-9).fit(iris)
    with pytest.warns(mx.CollapseWarning, match=r"component \d collapsed: its rows coincide .*reg_covar='auto'"):
        mx.GaussianMixture(2, random_state=0).fit(np.repeat([[0.0], [5.0]], 6, axis=0))


def test_verbose_says_where_it_is_and_why_it_stopped(faithful, capsys):
    mx.GaussianMixture(3, random_state=0, verbose=1, verbose_interval=1, n_init=2).fit(faithful)
    out = capsys.readouterr().out
    assert "Restart 0, iteration 1: lower bound -4." in out
    assert "Restart 0: " in out
    assert "nats still to come" in out


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_components": 0}, "n_components"),
        ({"covariance_type": "fully"}, "covariance_type"),
        ({"tol": -1}, "tol"),
        ({"weights_init": [0.5, 0.6]}, r"weights_init .* sum to 1"),
        ({"means_init": [[0.0]]}, r"means_init .* \(2, 2\)"),
        ({"precisions_init": np.zeros((2, 2, 2))}, "precisions_init .* positive definite"),
        ({"init_params": np.zeros(3, dtype=int)}, "272 integers"),
        ({"init_params": np.full(272, 5)}, "0 … 1"),
        ({"init_params": np.ones((272, 2))}, "sum to 1"),
        ({"covariance_prior": "strong"}, "covariance_prior"),
        ({"covariance_prior": mx.NormalInverseWishart([0.0], 1, [[1.0]], 3)}, "1 features"),
        ({"random_state": "now"}, "random_state"),
    ],
)
def test_bad_parameters_are_named(settings, message, faithful):
    with pytest.raises(ValueError, match=message):
        mx.GaussianMixture(**{"n_components": 2} | settings).fit(faithful)


def test_bad_data_are_named(faithful):
    with pytest.raises(ValueError, match="n_samples = 2"):
        mx.GaussianMixture(3).fit(faithful[:2])
    with pytest.raises(ValueError, match="squares overflow"):
        mx.GaussianMixture(2).fit(faithful * 1e160)
    with pytest.raises(ValueError, match="of positive weight"):
        mx.GaussianMixture(3).fit(faithful, sample_weight=np.r_[1, 1, np.zeros(270)])
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        mx.GaussianMixture(2).fit(faithful, sample_weight=np.full(272, -1.0))


def test_works_without_the_optional_libraries(faithful, examples):
    code = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {{"matplotlib", "PIL", "pyarrow", "pandas", "polars", "rich"}}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import numpy as np, mixtura as mx
X = np.loadtxt({str(examples / "faithful.csv")!r}, delimiter=",", skiprows=1)
gm = mx.GaussianMixture(2, random_state=0).fit(X)
assert abs(gm.score(X) * 272 + 1130.264) < 1e-3
assert mx.GaussianMixtureSearch([1, 2], n_init=2, random_state=0).fit(X).best_params_["n_components"] == 2
try:
    mx.plot.trace(gm)
except ImportError as error:
    assert 'pip install "mixtura[plot]"' in str(error), error
else:
    raise AssertionError("a plot without matplotlib")
print("fine")
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.stdout == "fine\n", done.stderr
