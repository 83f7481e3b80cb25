"""A fit of rows that are gone over where they are is that of the same rows in memory, to the last bit."""

from decimal import Decimal
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

import mixtura as mx
from mixtura.inference.sampling import gibbs

NAMES = ["length", "width"]
N = 3000


def numbers(dtype=np.float64):
    rng = np.random.default_rng(0)
    return (rng.normal(size=(N, 2)) + 5 * rng.integers(0, 3, size=(N, 1))).astype(dtype)


def table(X, **more):
    return pa.table({**dict(zip(NAMES, X.T, strict=True)), **more})


class Anew:
    """Hands out arrays, again and again."""

    def __init__(self, parts):
        self.parts = parts

    def __iter__(self):
        return iter(self.parts)


def one_file(X, folder):
    pq.write_table(table(X), folder / "all.parquet")
    return folder / "all.parquet"


def many_files(X, folder):
    for i, part in enumerate(np.split(X, [1, 500, 501, 2000])):
        pq.write_table(table(part), folder / f"part-{i}.parquet", row_group_size=333)
    return str(folder / "*.parquet")


def of_one_row_each(X, folder):
    pq.write_table(table(X), folder / "thin.parquet", row_group_size=7)
    return folder


def comma_separated(X, folder):
    pa.csv.write_csv(table(X), folder / "all.csv")
    return folder / "all.csv"


def feather(X, folder):
    pa.feather.write_feather(table(X), folder / "all.feather", compression="uncompressed")
    return folder / "all.feather"


def dataset(X, folder):
    return pa.dataset.dataset(one_file(X, folder))


def list_of_arrays(X, folder):
    return np.array_split(X, 7)


def again_and_again(X, folder):
    return Anew([pd.DataFrame(part, columns=NAMES) for part in np.array_split(X, 11)])


CONTAINERS = [
    one_file, many_files, of_one_row_each, comma_separated, feather, dataset, list_of_arrays, again_and_again,
]  # fmt: skip
FITS = {
    "defaults": lambda: mx.GaussianMixture(3, random_state=0),
    "restarts": lambda: mx.GaussianMixture(4, covariance_type="diag", n_init=3, random_state=0),
    "quasi-Newton": lambda: mx.GaussianMixture(4, solver="lbfgs", random_state=0),
    "labels": lambda: mx.GaussianMixture(2, init_params=np.arange(N) % 2, max_iter=20, tol=1e9),
    "search": lambda: mx.GaussianMixtureSearch(range(1, 5), covariance_type=["full", "spherical"], random_state=0),
    "coordinate ascent": lambda: mx.BayesianGaussianMixture(n_components=6, random_state=0),
    "by blocks": lambda: mx.BayesianGaussianMixture(n_components=4, solver=mx.Cavi(1000, moves=False), random_state=0),
}


@cache
def of_an_array(name, dtype):
    """The fit of the rows in memory."""
    return FITS[name]().fit(numbers(dtype))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("container", CONTAINERS, ids=lambda f: f.__name__)
def test_whatever_rows_come_in_the_fit_is_the_same_to_the_last_bit(container, dtype, tmp_path):
    X = numbers(dtype)
    if container is comma_separated and dtype == np.float32:
        pytest.skip("text has no single precision")
    data = container(X, tmp_path)
    for name, new in FITS.items():
        found, expected = new().fit(data), of_an_array(name, dtype)
        for part in ("weights", "means", "covariances"):
            ours, theirs = (getattr(one.mixture_, part) for one in (found, expected))
            np.testing.assert_array_equal(ours, theirs, err_msg=f"{part}, {name}")
    for method in ("predict", "predict_proba", "score_samples"):
        parts = getattr(found, method)(data)
        np.testing.assert_array_equal(np.concatenate(list(parts)), getattr(expected, method)(X))
    assert found.score(data) == expected.score(X)


SAMPLERS = {
    "nuts": lambda: mx.SampledGaussianMixture(3, n_draws=40, n_tune=60, n_chains=2, random_state=0),
    "gibbs": lambda: mx.SampledGaussianMixture(3, sampler="gibbs", n_draws=12, n_tune=8, n_chains=2, random_state=0),
    "process": lambda: mx.SampledGaussianMixture(
        "dirichlet-process", sampler="gibbs", covariance_type="diag", n_draws=12, n_tune=8, n_chains=3, random_state=0
    ),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("held", [N, 0])
@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("container", [many_files, comma_separated, again_and_again], ids=lambda f: f.__name__)
def test_so_are_draws(container, name, held, tmp_path, monkeypatch):
    """Whether all rows are held, or some of them while passes go over all."""
    if name == "nuts":
        pytest.importorskip("nutpie")
    monkeypatch.setattr(gibbs, "HELD", held)
    monkeypatch.setattr(gibbs, "LOOKED_AT", 500)
    X = numbers()
    data, new = container(X, tmp_path), SAMPLERS[name]
    found, expected = new().fit(data), new().fit(X)
    for part in ("weights", "means", "covariances"):
        np.testing.assert_array_equal(getattr(found.draws_, part), getattr(expected.draws_, part))
    assert found.diagnostics_ == expected.diagnostics_
    np.testing.assert_array_equal(found.coclustering(data), expected.coclustering(X))
    assert found.score(data) == expected.score(X)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto")  # of so few draws
def test_so_is_all_that_is_made_of_draws_and_rows(tmp_path):
    pytest.importorskip("arviz_stats")
    X = numbers()
    data, fitted = many_files(X, tmp_path), SAMPLERS["gibbs"]().set_params(n_draws=100).fit(X)
    rows = np.arange(0, N, 100)
    found, expected = (fitted.to_arviz(of, rows=rows) for of in (data, X))
    for group in ("log_likelihood", "posterior_predictive", "observed_data"):
        np.testing.assert_array_equal(found[group]["x"].values, expected[group]["x"].values)
    assert fitted.loo(data, rows=rows).elpd == fitted.loo(X, rows=rows).elpd
    assert fitted.log_evidence(data, random_state=0) == fitted.log_evidence(X, random_state=0)
    assert fitted.draws_content(".npz", data) == fitted.draws_content(".npz", X)


def test_rows_of_several_weights_have_no_one_component(tmp_path):
    pq.write_table(table(numbers(), n=np.arange(N) % 3), tmp_path / "rows.parquet")
    with pytest.raises(mx.DataError, match="sample_weight cannot be used with Gibbs sampling"):
        mx.SampledGaussianMixture(3, sampler="gibbs").fit(mx.scan(tmp_path / "rows.parquet", sample_weight="n"))


def test_names_are_those_of_the_columns(tmp_path):
    X = numbers()
    gm = mx.GaussianMixture(3, random_state=0).fit(many_files(X, tmp_path))
    assert gm.feature_names_in_.tolist() == NAMES
    assert gm.bic(one_file(X, tmp_path)) == gm.bic(pd.DataFrame(X, columns=NAMES))
    assert gm.mixture_.feature_names == tuple(NAMES)
    turned = mx.scan(tmp_path / "all.parquet", columns=NAMES[::-1])
    with pytest.raises(mx.DataError, match=r"the columns are 'width', 'length'; the fit is of 'length', 'width'"):
        gm.score(turned)
    with pytest.raises(mx.DataError, match="X has 1 features, but GaussianMixture is expecting 2"):
        gm.predict(mx.scan(tmp_path / "all.parquet", columns=["width"]))


def test_weights_are_a_column(tmp_path):
    X, weights = numbers(), np.random.default_rng(1).integers(0, 4, N)
    pq.write_table(table(X, n=weights), tmp_path / "rows.parquet")
    scanned = mx.scan(tmp_path / "rows.parquet", sample_weight="n")
    found = mx.GaussianMixture(3, random_state=0).fit(scanned)
    expected = mx.GaussianMixture(3, random_state=0).fit(X, sample_weight=weights)
    np.testing.assert_array_equal(found.means_, expected.means_)
    assert found.score(scanned) == expected.score(X, sample_weight=weights)
    with pytest.raises(mx.DataError, match="have their weights in a column"):
        found.fit(scanned, sample_weight=weights)


def test_integers_decimals_and_an_index_of_pandas_are_read_as_they_are_meant(tmp_path):
    frame = pd.DataFrame({"a": [1, 2, 30, 40], "b": [Decimal("0.5"), Decimal("0.25"), Decimal(7), Decimal(8)]})
    frame.index = pd.Index([9, 8, 7, 6], name="place")
    frame.to_parquet(tmp_path / "rows.parquet")
    rows = next(mx.scan(tmp_path / "rows.parquet").blocks(10)).rows
    np.testing.assert_array_equal(rows, frame.astype(float).to_numpy())


@pytest.mark.parametrize("container", [one_file, again_and_again], ids=lambda f: f.__name__)
def test_missing_values_are_counted_or_left_out(container, tmp_path):
    X = numbers()
    X[::10, 1] = np.nan
    X[5, 0] = np.inf
    data, names = container(X, tmp_path), NAMES if container is one_file else ["x0", "x1"]
    with pytest.raises(mx.DataError, match=f"300 in column '{names[1]}', 1 in column '{names[0]}'.*missing='drop'"):
        mx.GaussianMixture(3).fit(data)
    scanned = mx.scan(data, missing="drop")
    found = mx.GaussianMixture(3, random_state=0).fit(scanned)
    expected = mx.GaussianMixture(3, random_state=0).fit(X[np.isfinite(X).all(axis=1)])
    np.testing.assert_array_equal(found.means_, expected.means_)
    assert scanned.n_dropped == 301


def test_what_cannot_be_scanned_is_said(tmp_path):
    X = numbers()
    pq.write_table(table(X, text=np.full(N, "x")), tmp_path / "rows.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "empty").mkdir()
    pq.write_table(table(X[:0]), tmp_path / "none.parquet")
    for data, settings, said in [
        (tmp_path / "not there.parquet", {}, "there is no file"),
        (tmp_path / "empty", {}, "holds no files"),
        (tmp_path / "rows.parquet", {}, r"column 'text' holds string, no numbers.*columns=\['length', 'width'\]"),
        (tmp_path / "rows.parquet", {"columns": ["height"]}, "no single column 'height'; the columns are 'length'"),
        (tmp_path / "broken.parquet", {}, "cannot be read as parquet"),
        (tmp_path / "none.parquet", {}, "at least one row"),
        (tmp_path, {"missing": "ignore"}, "missing must be one of 'error', 'drop'; got 'ignore'"),
        ((x for x in [X]), {}, "a generator can be gone over only once"),
        ([X], {"columns": NAMES}, "columns and sample_weight name columns of files"),
        ([X, X[0]], {}, r"each batch of X must be a \(B, D\) array"),
        (7, {}, "int can be scanned neither as files nor as batches"),
    ]:
        with pytest.raises((mx.DataError, mx.InvalidParameterError), match=said):
            list(mx.scan(data, **settings).blocks(10))
    with pytest.raises(mx.DataError, match="n_components = 9, n_samples = 3"):
        mx.GaussianMixture(9).fit([X[:3]])
