"""Draws come back from a file as they were; a file that is something else, or damaged, is one sentence."""

import io
import sys
import zipfile

import numpy as np
import pytest

import mixtura as mx
from mixtura.assess.draws import arviz, draws_file
from mixtura.assess.draws.draws_file import FORMAT, draws_content, load_draws, save_draws
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.draws import Draws

every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)


def has_netcdf():
    try:
        arviz._check_netcdf()
    except mx.MissingExtraError:
        return False
    return True


every_kind = pytest.mark.parametrize(
    "kind", [".npz", pytest.param(".nc", marks=pytest.mark.skipif(not has_netcdf(), reason="needs ArviZ and h5netcdf"))]
)


def random_draws(structure, n_chains=3, n_draws=20, seed=0):
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n_chains * n_draws, 2, 2, 12))
    covariances = [structure.from_matrices(f @ f.swapaxes(1, 2) / 12, np.ones(2)) for f in factors]
    weights, means = rng.dirichlet([2, 3], (n_chains, n_draws)), rng.normal(size=(n_chains, n_draws, 2, 2))
    return Draws(structure, weights, means, np.reshape(covariances, (n_chains, n_draws, *np.shape(covariances)[1:])))


X = np.random.default_rng(9).normal(size=(12, 2))
FULL = covariance_structure("full")
STATISTICS = {
    "lp": np.random.default_rng(1).normal(size=(3, 20)),
    "diverging": np.arange(60).reshape(3, 20) % 7 == 0,
    "n_filled": np.arange(60).reshape(3, 20) % 2 + 1,
    "energy_error": np.full((3, 20), np.inf),
}


@every_structure
@every_kind
def test_draws_come_back_to_the_last_bit(tmp_path, structure, kind):
    draws, path = random_draws(structure), tmp_path / f"draws{kind}"
    save_draws(path, draws, X, statistics=STATISTICS, feature_names=["Länge", "b"])
    kept = load_draws(path)
    assert kept.draws.structure is structure
    for name in ("weights", "means", "covariances"):
        np.testing.assert_array_equal(getattr(kept.draws, name), getattr(draws, name))
    assert kept.statistics.keys() == STATISTICS.keys()
    for name, values in STATISTICS.items():
        assert kept.statistics[name].dtype == values.dtype
        np.testing.assert_array_equal(kept.statistics[name], values)
    assert kept.feature_names == ("Länge", "b")
    np.testing.assert_array_equal(kept.draws.log_pdf(X), draws.log_pdf(X))


@every_kind
def test_what_need_not_be_there(tmp_path, kind):
    path = tmp_path / f"draws{kind.upper()}"
    save_draws(path, random_draws(FULL), X)
    kept = load_draws(str(path))
    assert (kept.statistics, kept.feature_names) == ({}, None)
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


@every_kind
def test_where_the_number_is_open_all_slots_are_kept(tmp_path, kind):
    draws, path = random_draws(FULL), tmp_path / f"draws{kind}"
    save_draws(path, draws, X, statistics=STATISTICS, components=draws.subset(7))
    np.testing.assert_array_equal(load_draws(path).draws.means, draws.means)


def test_netcdf_is_what_arviz_reads(tmp_path, monkeypatch):
    az = pytest.importorskip("arviz_base")
    if not has_netcdf():
        pytest.skip("needs h5netcdf")
    monkeypatch.setattr(draws_file, "MOST_NUMBERS", 60 * 5)
    path = tmp_path / "draws.nc"
    save_draws(path, random_draws(FULL), X, statistics=STATISTICS, feature_names=["height", "odd\udc80"])
    with az.convert_to_datatree(str(path)) as tree:
        assert {"posterior", "sample_stats", "posterior_predictive", "log_likelihood", "observed_data"} == set(
            tree.children
        )
        assert tree["log_likelihood"]["row"].values.tolist() == [0, 2, 5, 8, 11]
        assert tree["posterior"]["feature"].values.tolist() == ["height", "odd\\udc80"]
        assert tree.attrs["covariance_type"] == "full"


def test_a_name_says_the_kind_of_file(tmp_path):
    with pytest.raises(mx.InvalidParameterError, match=r"ends in \.nc or \.npz; got '\.csv'"):
        save_draws(tmp_path / "draws.csv", random_draws(FULL), X)
    with pytest.raises(mx.InvalidParameterError, match="statistics may hold"):
        save_draws(tmp_path / "draws.npz", random_draws(FULL), X, statistics={"height": STATISTICS["lp"]})
    with pytest.raises(OSError, match="no folder"):
        save_draws(tmp_path / "nowhere" / "draws.npz", random_draws(FULL), X)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        load_draws(tmp_path / "draws.npz")


@pytest.mark.parametrize("library", ["arviz_base", "h5netcdf"])
def test_without_the_libraries_it_says_how_to_get_them_and_how_to_do_without(tmp_path, monkeypatch, library):
    monkeypatch.setattr(arviz.importlib.util, "find_spec", lambda name: None if name == library else sys)
    monkeypatch.setattr(draws_file, "to_arviz", lambda *_, **__: type("Tree", (), {"attrs": {}})())
    with pytest.raises(mx.MissingExtraError, match=r'pip install "mixtura\[mcmc\]".*\.npz need none'):
        save_draws(tmp_path / "draws.nc", random_draws(FULL), X)
    (tmp_path / "draws.nc").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(mx.MissingExtraError, match="need none"):
        load_draws(tmp_path / "draws.nc")


# ---- what is not a file of draws, or no whole one ------------------------------------------------------------------------------


def with_members(**changes):
    """A file of draws with some arrays changed, or left out for ``None``."""
    content = np.load(io.BytesIO(draws_content(".npz", random_draws(FULL), X, statistics=STATISTICS)))
    arrays = {**dict(content.items()), **changes}
    buffer = io.BytesIO()
    np.savez(buffer, **{name: values for name, values in arrays.items() if values is not None})
    return buffer.getvalue()


def changed(name, place, value):
    array = getattr(random_draws(FULL), name).copy()
    array[place] = value
    return {name: array}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is not a file of draws: it is neither NetCDF nor .npz."),
        (b"a,b\n1,2\n", "is not a file of draws: it is neither"),
        (b"PK\x03\x04 and no more", "is damaged: File is not a zip file."),
        (b"\x89HDF\r\n\x1a\n and no more", "is damaged: "),
        (with_members(format=None), f"it does not say that its format is '{FORMAT}'."),
        (with_members(format=np.str_("mixtura.mixture")), "is not a file of draws"),
        (with_members(version=np.int64(2)), "has version 2; this mixtura reads version 1."),
        (with_members(weights=None, means=None), "is damaged: it lacks weights, means."),
        (with_members(covariance_type=np.str_("round")), "covariance_type must be one of"),
        (
            with_members(covariance_type=np.str_("diag")),
            "covariances should have shape (3, 20, 2, 2) and have (3, 20, 2, 2, 2)",
        ),
        (with_members(means=np.zeros((3, 20, 3, 2))), "do not go with means of shape (3, 20, 3, 2)"),
        (with_members(means=np.zeros((3, 20, 2, 0))), "do not go with means"),
        (with_members(**changed("means", (0, 1, 1, 0), np.nan)), "means are not finite numbers"),
        (with_members(**changed("weights", (0, 1, 1), -0.5)), "weights are not positive numbers that sum to one"),
        (with_members(**changed("covariances", (0, 1, 1, 0, 0), -1.0)), "covariances are not positive definite"),
        (with_members(**changed("covariances", (0, 1, 1, 0, 1), 1.0)), "covariances are not symmetric"),
        (with_members(means=np.zeros((3, 20, 2, 2), np.float32)), "means are not finite numbers in float64"),
        (with_members(means=np.array([None])), "is not an array"),
        (with_members(feature_names=np.array(["a"])), "feature_names are not 2 names"),
        (with_members(feature_names=np.zeros(2)), "feature_names are not 2 names"),
        (with_members(**{"sample_stats.height": np.zeros((3, 20))}), "statistics of another kind: height"),
        (with_members(**{"sample_stats.lp": np.zeros((3, 21))}), "must have shape (3, 20); got (3, 21)"),
        (with_members(**{"sample_stats.lp": np.full((3, 20), np.nan)}), "must be finite"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(tmp_path, content, sentence):
    if content.startswith(b"\x89HDF") and not has_netcdf():
        pytest.skip("needs ArviZ and h5netcdf")
    path = tmp_path / "draws\n.npz"
    path.write_bytes(content)
    with pytest.raises(mx.DataError) as found:
        load_draws(path)
    assert sentence in str(found.value)
    assert "draws\\n.npz" in str(found.value)
    assert "\n" not in str(found.value)


def test_a_small_file_cannot_ask_for_much_memory(tmp_path):
    path = tmp_path / "draws.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights.npy", bytes(10**7))
    with pytest.raises(mx.DataError, match="packed, as no file of draws is"):
        load_draws(path)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**9)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights.npy", header.getvalue())
    with pytest.raises(mx.DataError, match="not an array of 1000000000×1000000000 numbers"):
        load_draws(path)


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # h5netcdf's, of a file that it could not open
@every_kind
def test_a_damaged_file_is_told_or_harmless(tmp_path, kind):
    """Cut anywhere it is refused; with a bit that has flipped it is refused, or holds draws that can be used."""
    whole = draws_content(kind, random_draws(FULL), X, statistics=STATISTICS, feature_names=["a", "b"])
    path, rng = tmp_path / f"draws{kind}", np.random.default_rng(0)
    n_files = 60 if kind == ".npz" else 8
    for place, bit in zip(
        rng.integers(8, len(whole), n_files).tolist(), rng.integers(0, 8, n_files).tolist(), strict=True
    ):
        path.write_bytes(whole[:place])
        with pytest.raises(mx.DataError, match=r"^[^\n]*$"):
            load_draws(path)
        content = bytearray(whole)
        content[place] ^= 1 << bit
        path.write_bytes(content)
        try:
            kept = load_draws(path)
        except mx.DataError:
            continue
        assert np.isfinite(kept.draws.log_pdf(X)).all()


def test_netcdf_of_others_is_told(tmp_path):
    az = pytest.importorskip("arviz_base")
    if not has_netcdf():
        pytest.skip("needs h5netcdf")
    path = tmp_path / "others.nc"
    path.write_bytes(arviz.netcdf_content(az.from_dict({"posterior": {"mu": np.zeros((4, 10))}})))
    with pytest.raises(mx.DataError, match="does not say that its format"):
        load_draws(path)
