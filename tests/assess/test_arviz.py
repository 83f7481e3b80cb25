"""ArviZ reads what we hand over, and leave-one-out agrees with an answer in closed form."""

import sys
import warnings
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

import mixtura as mx
from chance import deviations
from mixtura.assess.draws import arviz
from mixtura.assess.draws.arviz import for_installed, loo, to_arviz
from mixtura.assess.draws.convergence import bulk_size, r_hat
from mixtura.model.covariance import STRUCTURES, covariance_structure
from mixtura.model.draws import Draws

stats = pytest.importorskip("arviz_stats")

AXES = {
    "full": ("component", "feature", "other_feature"),
    "tied": ("feature", "other_feature"),
    "diag": ("component", "feature"),
    "tied_diag": ("feature",),
    "spherical": ("component",),
    "tied_spherical": (),
}


SCALES = AXES | {"full": ("component", "feature"), "tied": ("feature",)}


def random_draws(structure, n_chains=4, n_draws=60, seed=0):
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n_chains * n_draws, 3, 2, 60))
    covariances = [structure.from_matrices(f @ f.swapaxes(1, 2) / 60, np.ones(3)) for f in factors]
    means = np.array([[0, 0], [4, 0], [0, 4]]) + 0.1 * rng.normal(size=(n_chains, n_draws, 3, 2))
    weights = rng.dirichlet([20, 30, 50], (n_chains, n_draws))
    return Draws(structure, weights, means, np.reshape(covariances, (n_chains, n_draws, *np.shape(covariances)[1:])))


X, _ = random_draws(covariance_structure("full")).mixture(0, 0).sample(40, 1)


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
def test_arviz_reads_every_structure(structure):
    draws = random_draws(structure)
    rng = np.random.default_rng(1)
    statistics = {
        "lp": rng.normal(size=(4, 60)),
        "diverging": np.zeros((4, 60), bool),
        "energy": rng.normal(size=(4, 60)),
    }
    tree = to_arviz(draws, X, statistics, feature_names=["height", "width"])
    posterior = tree["posterior"]
    groups = ["posterior", "sample_stats", "posterior_predictive", "log_likelihood", "observed_data"]
    assert list(tree.children) == groups
    assert posterior["weights"].dims == ("chain", "draw", "component")
    assert posterior["means"].dims == ("chain", "draw", "component", "feature")
    assert posterior["covariances"].dims == ("chain", "draw", *AXES[structure.name])
    np.testing.assert_array_equal(posterior["covariances"], draws.covariances)
    assert posterior["scales"].dims == ("chain", "draw", *SCALES[structure.name])
    everywhere = (
        posterior["scales"].broadcast_like(posterior["means"]).transpose("chain", "draw", "component", "feature")
    )
    np.testing.assert_allclose(everywhere**2, draws.variances, rtol=1e-12)
    height = posterior["means"].sel(chain=2, draw=7, component=1, feature="height")
    assert height.item() == draws.means[2, 7, 1, 0]
    np.testing.assert_allclose(tree["log_likelihood"]["x"][3, 5], draws.mixture(3, 5).log_pdf(X), rtol=1e-12)
    np.testing.assert_array_equal(tree["observed_data"]["x"], X)
    assert tree["sample_stats"]["diverging"].dtype == bool
    # What users do with it.
    names = stats.summary(tree).index
    assert {"weights[0]", "means[2, width]"} <= set(names)
    mean = draws.means[:, :, 2, 0]
    assert stats.rhat(tree)["means"].sel(component=2, feature="height").item() == pytest.approx(r_hat(mean), rel=1e-10)
    assert stats.ess(tree)["means"].sel(component=2, feature="height").item() == pytest.approx(
        bulk_size(mean), rel=1e-10
    )
    assert stats.loo(tree).elpd == pytest.approx(loo(draws, X).elpd, abs=0.05)
    assert stats.bfmi(tree)["energy"].shape == (4,)


def test_the_installed_generation_reads_it():
    """What users of the package ``arviz`` type, whichever it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older one announces the newer
        az = pytest.importorskip("arviz")
        draws = random_draws(covariance_structure("full"))
        statistics = {"diverging": np.zeros((4, 60), bool), "energy": np.random.default_rng(0).normal(size=(4, 60))}
        data = for_installed(to_arviz(draws, X, statistics))
        left_out = az.loo(data)
        elpd = left_out.elpd_loo if hasattr(left_out, "elpd_loo") else left_out.elpd
        assert elpd == pytest.approx(float(loo(draws, X).elpd), abs=0.05)
        assert "weights[0]" in az.summary(data).index
        assert float(az.rhat(data)["weights"][0]) == pytest.approx(r_hat(draws.weights[:, :, 0]), rel=1e-6)
        az.plot_energy(data)
    assert stats.rhat(data)["weights"].shape == (3,)  # the newer libraries read the older container


class Prior:
    """Components about the origin, of variance one."""

    def draw(self, n_components, structure, rng):
        means, ones = rng.normal(size=(n_components, 2)), np.broadcast_to(np.eye(2), (n_components, 2, 2))
        weights = rng.dirichlet(np.ones(n_components))
        return mx.Mixture(weights, means, structure.from_matrices(ones, weights), structure.name)


@pytest.mark.parametrize("number_is_open", [False, True])
def test_what_users_look_at_can_be_drawn(number_is_open):
    """Traces, intervals, pairs, replicates beside the data, and models side by side, by whichever ArviZ is installed."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older one announces the newer; matplotlib has its own to say of ArviZ
        az = pytest.importorskip("arviz")
        draws = random_draws(covariance_structure("full"))
        statistics = {
            "diverging": np.zeros((4, 60), bool),
            "n_filled": np.random.default_rng(0).integers(2, 4, (4, 60)),
        }
        extra = {"components": draws.subset(50)} if number_is_open else {"prior": Prior()}
        data = for_installed(to_arviz(draws, X, statistics, n_replicates=40, **extra))
        assert ("prior" in data) != ("components" in data)
        traced = ["n_filled", "weights_by_size"] if number_is_open else ["weights", "means", "scales"]
        az.plot_trace(data, var_names=traced)
        az.plot_forest(data, var_names=traced)
        az.plot_pair(data, var_names=traced if number_is_open else traced[:1])
        if hasattr(az, "plot_ppc"):
            az.plot_ppc(data)
            az.plot_ppc(data, flatten=["row"])
        else:  # from 1.0
            az.plot_ppc_dist(data)
        ranks = az.compare({"one": data, "other": for_installed(to_arviz(random_draws(draws.structure, seed=1), X))})
        assert set(ranks.index) == {"one", "other"}
        pyplot.close("all")


def test_new_rows_have_the_predictive_law(seed):
    """A set of the size of the data under each of some draws, which lie far apart: its mean and its squares are those of that draw."""
    draws = random_draws(covariance_structure("spherical"))
    shifts = 3 * np.random.default_rng(5).normal(size=(4, 60, 1, 2))
    draws = Draws(draws.structure, draws.weights, draws.means + shifts, draws.covariances)
    new = to_arviz(draws, X, n_replicates=200, random_state=seed)["posterior_predictive"]["x"]
    assert dict(new.sizes) == {"chain": 4, "draw": 50, "row": 40, "feature": 2}
    places = new["draw"].values
    assert (places[0], places[-1]) == (0, 59)
    chosen = [draws.mixture(c, s) for c in range(4) for s in places]
    mean = np.array([m.weights @ m.means for m in chosen])
    variance = np.array([m.weights @ (m.variances + m.means**2) for m in chosen]) - mean**2
    offsets = new.values.reshape(200, 40, 2) - mean[:, None]
    standard = offsets.mean(axis=1) / np.sqrt(variance / 40)
    squares = (
        (offsets**2).mean(axis=1) / variance - 1
    ).ravel()  # of mean zero, and of a spread that they show themselves
    off = [*standard.sum(axis=0) / np.sqrt(200), (np.square(standard).sum() - 400) / np.sqrt(800)]
    off.append(squares.sum() / np.sqrt((squares**2).sum()))
    assert np.abs(off).max() < deviations(4, 199)


def test_how_many_sets_of_new_rows_there_are(monkeypatch):
    draws = random_draws(covariance_structure("full"))

    def n_sets(**settings):
        return to_arviz(draws, X, **settings)["posterior_predictive"]["x"].sizes["draw"]

    assert [n_sets(n_replicates=n) for n in (1, 4, 7, 8, 400)] == [1, 1, 1, 2, 60]
    assert "posterior_predictive" not in to_arviz(draws, X, n_replicates=0)
    monkeypatch.setattr(arviz, "MOST_REPLICATED", 10 * X.size)
    assert n_sets() == 2
    assert to_arviz(draws, X, rows=range(5))["posterior_predictive"]["x"].sizes["row"] == 5
    with pytest.raises(mx.InvalidParameterError, match=r"n_replicates must be zero or positive; got -1"):
        to_arviz(draws, X, n_replicates=-1)


def test_where_the_number_is_open_components_are_those_of_the_likeliest_number():
    draws, two = random_draws(covariance_structure("full")), random_draws(covariance_structure("full"), 1, 25)
    counts = np.random.default_rng(0).integers(2, 4, (4, 60))
    tree = to_arviz(draws, X, {"n_filled": counts}, components=two)
    assert set(tree["posterior"].data_vars) == {"weights_by_size", "overall_mean", "overall_scale", "n_filled"}
    assert dict(tree["components"].sizes)["draw"] == 25
    np.testing.assert_array_equal(tree["components"]["means"], two.means)
    np.testing.assert_array_equal(tree["posterior"]["weights_by_size"], -np.sort(-draws.weights, axis=2))
    one = draws.mixture(1, 7)
    mean = one.weights @ one.means
    np.testing.assert_allclose(tree["posterior"]["overall_mean"][1, 7], mean)
    total = one.weights @ (np.diagonal(one.covariance_matrices, axis1=1, axis2=2) + (one.means - mean) ** 2)
    np.testing.assert_allclose(tree["posterior"]["overall_scale"][1, 7], np.sqrt(total))
    with pytest.raises(mx.InvalidParameterError, match="need a number of components"):
        to_arviz(draws, X, components=two, prior=Prior())
    # Where labels of the likeliest number fail, there are no such components.
    weights = draws.weights.copy()
    weights[::2, ::3, 2] = 0
    weights /= weights.sum(axis=2, keepdims=True)
    alone = to_arviz(Draws(draws.structure, weights, draws.means, draws.covariances), X)
    assert ("components" in alone, "weights" in alone["posterior"]) == (False, False)
    np.testing.assert_array_equal(alone["slots"]["weights"], weights)


def test_draws_from_the_prior_have_the_names_of_the_posterior():
    tree = to_arviz(random_draws(covariance_structure("diag")), X, prior=Prior())
    assert set(tree["prior"].data_vars) == set(tree["posterior"].data_vars)
    assert dict(tree["prior"].sizes)["draw"] == 1000
    assert np.abs(tree["prior"]["means"].mean()) < 0.2


def test_without_the_package_it_stays_a_tree(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    tree = to_arviz(random_draws(covariance_structure("full")), X)
    monkeypatch.setattr(arviz, "version", missing)
    assert for_installed(tree) is tree
    monkeypatch.setattr(arviz, "version", lambda _: "1.2.0")
    assert for_installed(tree) is tree


def test_some_rows_or_none():
    draws = random_draws(covariance_structure("full"))
    tree = to_arviz(draws, X, rows=[3, 17])
    assert tree["log_likelihood"]["x"]["row"].values.tolist() == [3, 17]
    np.testing.assert_allclose(tree["log_likelihood"]["x"], draws.log_pdfs(X[[3, 17]]))
    assert "log_likelihood" not in to_arviz(draws, X, log_likelihood=False)
    whole = loo(draws, X)
    assert loo(draws, X, [3, 17]).elpd == pytest.approx(whole.elpd_i[[3, 17]].sum().item(), abs=0.01)
    for bad in ([40], [-1], [0.5], [[1]]):
        with pytest.raises(mx.InvalidParameterError, match=r"integers in 0 … 39"):
            to_arviz(draws, X, rows=bad)


def test_what_is_too_large_is_told_before_it_is_made(monkeypatch):
    monkeypatch.setattr(arviz, "MOST_NUMBERS", 3000)
    draws = random_draws(covariance_structure("full"))
    with pytest.raises(
        mx.InvalidParameterError, match=r"40 rows under 240 draws would take 0.0 GB; .*range\(0, 40, 4\)"
    ):
        to_arviz(draws, X)
    assert to_arviz(draws, X, rows=range(0, 40, 4))["log_likelihood"]["x"].shape == (4, 60, 10)


def test_leave_one_out_is_exact_where_it_is_known(seed):
    """A normal of known variance and a flat prior of its mean: the density of a row given the others is normal."""
    x = np.random.default_rng(0).normal(size=30)
    rng = np.random.default_rng(seed + 1)
    shape = 4, 2000
    means = x.mean() + rng.normal(size=shape) / np.sqrt(30)
    draws = Draws(covariance_structure("spherical"), np.ones((*shape, 1)), means[..., None, None], np.ones((*shape, 1)))
    others = (x.sum() - x) / 29
    exact = -0.5 * (np.log(2 * np.pi * (1 + 1 / 29)) + (x - others) ** 2 / (1 + 1 / 29))
    found = loo(draws, x[:, None])
    np.testing.assert_allclose(found.elpd_i, exact, atol=0.02)
    assert found.elpd == pytest.approx(exact.sum(), abs=0.05)
    assert found.se == pytest.approx(np.sqrt(30) * exact.std(), rel=0.05)


def test_leave_one_out_does_not_depend_on_labels():
    draws = random_draws(covariance_structure("full"))
    orders = np.random.default_rng(2).permuted(np.broadcast_to(np.arange(3), (4, 60, 3)), axis=2)
    assert loo(draws.permuted(orders), X).elpd == pytest.approx(loo(draws, X).elpd, rel=1e-10)


def test_a_row_of_too_much_influence_is_told():
    draws = random_draws(covariance_structure("full"))
    with pytest.warns(UserWarning, match="Pareto"):
        found = loo(draws, np.concatenate([X, [[9.0, 9.0]]]))
    assert np.argmax(found.pareto_k.values) == 40


@pytest.mark.parametrize(("function", "library"), [(to_arviz, "arviz_base"), (loo, "arviz_stats")])
def test_without_the_libraries_it_says_how_to_get_them(monkeypatch, function, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(mx.MissingExtraError, match=r'pip install "mixtura\[mcmc\]"'):
        function(random_draws(covariance_structure("full")), X)
