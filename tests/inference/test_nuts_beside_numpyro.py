"""The model of posteriordb's ``low_dim_gauss_mix``, data drawn as it says, beside a long run of another library's sampler."""

import numpy as np
import pytest

import mixtura as mx
from chance import SERIES, deviations
from mixtura.assess.draws.convergence import mean_error
from mixtura.data.array import ArraySource
from mixtura.inference.sampling.nuts import sample

pytest.importorskip("nutpie")
jax = pytest.importorskip("jax")
pytest.importorskip("numpyro")

import numpyro.distributions as dist  # noqa: E402
from numpyro import sample as site  # noqa: E402
from numpyro.infer import MCMC, NUTS, init_to_value  # noqa: E402

TRUTH = mx.Mixture([0.62, 0.38], [[-2.73], [2.87]], [1.03**2, 1.02**2], "spherical")
"""About its published posterior means."""


@pytest.mark.slow
def test_both_samplers_find_the_same_posterior(seed: int) -> None:
    """Spreads of a thousand independent draws are known to 2.2 %, their ratio to 3.2: a fifth is six of that."""
    x = TRUTH.sample(1000, random_state=1)[0]
    prior = mx.IndependentPrior([0.0], [2.0], mx.HalfNormal(2.0), concentration=5.0)
    ours = sample(ArraySource(x), [TRUTH], prior, rng=np.random.default_rng(seed), n_draws=1000, n_tune=300, n_chains=2)
    draws = ours.draws
    found = {
        "theta": draws.weights[..., 0],
        "mu": draws.means[..., 0],
        "sigma": np.sqrt(draws.covariances),
    }
    theirs = long_run(x[:, 0], seed)
    spreads = {
        "theta": (0.0154,),
        "mu": (0.0442, 0.0565),
        "sigma": (0.0337, 0.0439),
    }  # of 20,000 draws of a run of its own
    for name, of_each in spreads.items():
        one, other = (np.atleast_3d(v) for v in (found[name], theirs[name]))
        for k in range(one.shape[2]):
            errors = mean_error(one[..., k]), mean_error(other[..., k])
            assert abs(one[..., k].mean() - other[..., k].mean()) < deviations(5, SERIES) * np.hypot(*errors)
            assert one[..., k].std() == pytest.approx(other[..., k].std(), rel=0.2)
            assert one[..., k].std() == pytest.approx(of_each[k], rel=0.2)
    truth = np.array([0.62, -2.73, 2.87, 1.03, 1.02])
    means = np.array([found["theta"].mean(), *found["mu"].mean(axis=(0, 1)), *found["sigma"].mean(axis=(0, 1))])
    assert (np.abs(means - truth) < 4 * np.array([0.0155, 0.045, 0.055, 0.033, 0.04])).all()


def long_run(x: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """NumPyro's sampler on its own mixture distribution; components are far apart, so labels do not switch."""

    def model() -> None:
        theta = site("theta", dist.Beta(5.0, 5.0))
        mu = site("mu", dist.Normal(0.0, 2.0).expand([2]).to_event(1))
        sigma = site("sigma", dist.HalfNormal(2.0).expand([2]).to_event(1))
        weights = jax.numpy.stack([theta, 1 - theta])
        site("x", dist.MixtureSameFamily(dist.Categorical(weights), dist.Normal(mu, sigma)).expand([len(x)]), obs=x)

    with jax.enable_x64(True):
        start = {"theta": 0.62, "mu": np.array([-2.73, 2.87]), "sigma": np.ones(2)}
        kernel = NUTS(model, init_strategy=init_to_value(values=start))
        run = MCMC(
            kernel, num_warmup=300, num_samples=1500, num_chains=2, chain_method="sequential", progress_bar=False
        )
        run.run(jax.random.PRNGKey(seed))
        return {name: np.asarray(values) for name, values in run.get_samples(group_by_chain=True).items()}
