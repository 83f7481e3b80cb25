"""Markov chain Monte Carlo: effective draws a second beside stock NumPyro's mixture, and Gibbs sweeps a second."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from bench.data import Problem, drawn
from bench.examples import rows_of
from bench.fresh import Failure, Task, alone
from bench.report import Row, Table, Target, judged, seconds, spread


class Length(NamedTuple):
    """How much a sampler draws: so many chains, and in each so many draws after tuning."""

    n_chains: int
    n_tune: int
    n_draws: int

    def __str__(self) -> str:
        return f"{self.n_chains} × ({self.n_tune} + {self.n_draws})"


class Case(NamedTuple):
    """Rows, drawn or Old Faithful's where there is no problem to draw from; how much we draw, how much NumPyro, and in which ways."""

    problem: Problem | None
    n_components: int
    ours: Length
    peer: Length
    methods: tuple[str, ...]

    @property
    def rows(self) -> np.ndarray:
        """The rows, ``(N, D)``."""
        return rows_of("faithful") if self.problem is None else drawn(self.problem)[0]

    def __str__(self) -> str:
        n, d = self.rows.shape
        return f"{n:,} × {d}, K = {self.n_components}"


METHODS = ("sequential", "vectorized", "parallel")
"""How NumPyro runs several chains."""
CASES = (
    Case(None, 2, Length(4, 500, 1000), Length(4, 500, 1000), METHODS),
    Case(Problem(10_000, 2, 3), 3, Length(4, 500, 1000), Length(4, 100, 200), METHODS),
    Case(Problem(10_000, 10, 3), 3, Length(4, 250, 500), Length(2, 50, 100), METHODS[1:2]),
)
"""The last is so long that NumPyro has one try."""
QUICK = Length(2, 30, 60)
TARGET_ACCEPT = 0.8
"""Of both: NumPyro's default."""
TARGET = Target(5)

GIBBS = Problem(10_000, 2, 5)
GIBBS_TARGET = Target(500, form="{:.0f}")
GIBBS_SWEEPS = {"without": 1000, "with": 300}
TRIALS = 3

ABOUT = (
    "Effective draws a second of the whole run: tuning, and for us the search for modes by EM, for NumPyro the compilation, which is "
    "also given apart. mixtura: `inference.nuts.sample`. NumPyro: its own `MixtureSameFamily` of `MultivariateNormal(scale_tril)` under "
    "the same prior (Dirichlet weights, normal means, half-Cauchy scales, LKJ correlations), its own NUTS as it comes (so both have a "
    "target acceptance of 0.8), float64, every "
    "chain begun at our best mode, which it gets for nothing; chains one after another, as one vectorised program, or each on a device of "
    "its own. *Draws* are chains × (tuning + kept), in the same proportion for both. The effective size is the smallest bulk size of "
    "quantities without labels: log-likelihood, log density at 20 rows, sorted weights, moments of the whole. *Apart* is the difference "
    "of both mean log-likelihoods in Monte Carlo standard errors. *Measured* is our rate over NumPyro's; the target is for its fastest way."
)
ABOUT_GIBBS = (
    f"Sweeps a second of one chain, {GIBBS.n_rows:,} × {GIBBS.n_features}, K = {GIBBS.n_components} known, conjugate prior, every draw "
    f"and its labels kept; median and extremes of {TRIALS} runs."
)


class Sampled(NamedTuple):
    """What a run brings back.

    Attributes
    ----------
    seconds, compiling : float
        Of the whole run, and the part of it that is compilation.
    size : float
        Smallest bulk effective size.
    r_hat : float
        Largest.
    log_likelihood, error : float
        Mean over draws and its Monte Carlo standard error.
    """

    seconds: float
    compiling: float
    size: float
    r_hat: float
    log_likelihood: float
    error: float

    @property
    def rate(self) -> float:
        """Effective draws a second."""
        return self.size / self.seconds


def tables(quick: bool) -> list[Table]:
    """Effective draws a second, and sweeps a second."""
    cases = (CASES[0]._replace(ours=QUICK, peer=QUICK, methods=METHODS[:1]),) if quick else CASES
    return [
        Table("NUTS: effective draws a second", ABOUT, [row for case in cases for row in _rows(case)]),
        Table("Gibbs sampling: sweeps a second", ABOUT_GIBBS, [_gibbs_row(moves, quick) for moves in GIBBS_SWEEPS]),
    ]


def _rows(case: Case) -> Iterator[Row]:
    """Our row, and one for each way of NumPyro; the target judges the fastest of those."""
    try:
        ours: Sampled = alone(Task(by_mixtura, (case,)))
    except Failure as failure:
        yield {"data": str(case), "by": "mixtura", "note": f"failed: {failure}"}
        return
    yield {"data": str(case), "by": "mixtura", "draws": str(case.ours), **_cells(ours)}
    theirs: dict[str, Sampled | Failure] = {}
    for method in case.methods:
        try:
            theirs[method] = alone(Task(by_numpyro, (case, case.peer, method)))
        except Failure as failure:
            theirs[method] = failure
    rates = {method: found.rate for method, found in theirs.items() if isinstance(found, Sampled)}
    for method, found in theirs.items():
        row = {"data": str(case), "by": f"NumPyro, {method}", "draws": str(case.peer)}
        if isinstance(found, Failure):
            yield {**row, "note": f"failed: {found}"}
            continue
        apart = abs(ours.log_likelihood - found.log_likelihood) / np.hypot(ours.error, found.error)
        target = TARGET if found.rate == max(rates.values()) else None
        yield {**row, **_cells(found), "apart": f"{apart:.1f}", **judged(ours.rate / found.rate, target)}


def _cells(found: Sampled) -> Row:
    return {
        "seconds": f"{found.seconds:.3g}",
        "compiling": seconds(found.compiling) if found.compiling else "",
        "effective size": f"{found.size:.0f}",
        "R̂": f"{found.r_hat:.3f}",
        "effective draws a second": f"{found.rate:.3g}",
        "once compiled": f"{found.size / (found.seconds - found.compiling):.3g}" if found.compiling else "",
    }


def by_mixtura(case: Case) -> Sampled:
    """Search for modes and draw."""
    import nutpie  # noqa: F401  imported by both before the clock starts

    from mixtura.data.array import ArraySource
    from mixtura.inference.sampling.nuts import sample

    rows, prior = case.rows, _prior(case)
    source = ArraySource(rows)
    begun = time.perf_counter()
    starts = _modes(case)
    sampled = sample(
        source, starts, prior, rng=np.random.default_rng(0), target_accept=TARGET_ACCEPT, **case.ours._asdict()
    )
    return _judged(sampled.draws, rows, time.perf_counter() - begun, 0.0)


def by_numpyro(case: Case, length: Length, method: str) -> Sampled:
    """Compile and draw."""
    import numpyro

    if method == "parallel":
        numpyro.set_host_device_count(length.n_chains)
    numpyro.enable_x64()
    import jax
    from jax import monitoring
    from numpyro.infer import MCMC, NUTS, init_to_value

    from mixtura.bridges.numpyro import as_draws

    compiling: list[float] = []
    monitoring.register_event_duration_secs_listener(
        lambda event, duration, **_: compiling.append(duration) if event.endswith("backend_compile_duration") else None
    )
    rows = case.rows
    begin = {name: jax.numpy.asarray(value) for name, value in _sites(_modes(case)[0]).items()}
    kernel = NUTS(_numpyro_model, target_accept_prob=TARGET_ACCEPT, init_strategy=init_to_value(values=begin))
    mcmc = MCMC(
        kernel,
        num_warmup=length.n_tune,
        num_samples=length.n_draws,
        num_chains=length.n_chains,
        chain_method=method,
        progress_bar=False,
    )
    compiling.clear()
    begun = time.perf_counter()
    mcmc.run(jax.random.key(0), rows, case.n_components, _prior(case))
    samples = {name: np.asarray(values) for name, values in mcmc.get_samples(group_by_chain=True).items()}
    taken = time.perf_counter() - begun
    return _judged(as_draws(samples), rows, taken, sum(compiling))


def _numpyro_model(rows: np.ndarray, n_components: int, prior: Any) -> None:
    """The mixture as NumPyro's documentation writes it, under an ``IndependentPrior`` with half-Cauchy scales."""
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    n_features = rows.shape[1]
    weights = numpyro.sample("weights", dist.Dirichlet(jnp.full(n_components, prior.concentration)))
    with numpyro.plate("components", n_components):
        means = numpyro.sample("means", dist.Normal(prior.mean_location, prior.mean_scale).to_event(1))
        scales = numpyro.sample("scales", dist.HalfCauchy(prior.scales.scale).to_event(1))
        correlations = numpyro.sample("correlations", dist.LKJCholesky(n_features, prior.correlation_concentration))
    components = dist.MultivariateNormal(means, scale_tril=scales[:, :, None] * correlations)
    with numpyro.plate("rows", len(rows)):
        numpyro.sample("x", dist.MixtureSameFamily(dist.Categorical(weights), components), obs=rows)


def _prior(case: Case) -> Any:
    from mixtura.model.laws.independent import IndependentPrior

    rows = case.rows
    return IndependentPrior.from_data_moments(rows.mean(axis=0), rows.var(axis=0), case.n_components)


def _modes(case: Case) -> list[Any]:
    from mixtura.data.array import ArraySource
    from mixtura.inference.starts.modes import modes
    from mixtura.inference.starts.sample import seeding_sample
    from mixtura.model.covariance import covariance_structure

    source, k = ArraySource(case.rows), case.n_components
    return modes(source, seeding_sample(source, k), covariance_structure("full"), k, np.random.default_rng(0))


def _sites(mode: Any) -> dict[str, np.ndarray]:
    """NumPyro's values at a mixture."""
    roots = np.linalg.cholesky(mode.covariances)
    scales = np.sqrt(np.square(roots).sum(axis=2))
    return {"weights": mode.weights, "means": mode.means, "scales": scales, "correlations": roots / scales[:, :, None]}


def _judged(draws: Any, rows: np.ndarray, taken: float, compiling: float) -> Sampled:
    """The same judgement of everybody's draws."""
    from mixtura.assess.draws.diagnostics import diagnose

    found = {quantity.name: quantity for quantity in diagnose(draws, rows).quantities}
    size, worst = min(q.bulk_size for q in found.values()), max(q.r_hat for q in found.values())
    likelihood = found["log-likelihood"]
    return Sampled(taken, compiling, size, worst, likelihood.mean, likelihood.error)


def _gibbs_row(moves: str, quick: bool) -> Row:
    row = {"split–merge moves": moves}
    n_sweeps = 20 if quick else GIBBS_SWEEPS[moves]
    try:
        taken: list[float] = alone(Task(gibbs_seconds, (moves == "with", n_sweeps)))
    except Failure as failure:
        return {**row, "note": f"failed: {failure}"}
    rates = [n_sweeps / one for one in taken]
    target = None if moves == "with" else GIBBS_TARGET
    return {**row, "sweeps": str(n_sweeps), "runs": spread(rates, "{:.0f}"), **judged(median(rates), target, "{:.0f}")}


def gibbs_seconds(moves: bool, n_sweeps: int) -> list[float]:
    """Seconds of so many sweeps, of several runs after one that does not count."""
    from mixtura import Mixture, NormalInverseWishart
    from mixtura.data.array import ArraySource
    from mixtura.inference.sampling.finite_mixtures import ComponentCountLaw, FiniteMixtures
    from mixtura.inference.sampling.gibbs import Gibbs, sample
    from mixtura.model.laws.components import ConjugateComponents

    rows, begin = drawn(GIBBS)
    start = Mixture(begin.weights, begin.means, begin.covariances, "full")
    prior = NormalInverseWishart.from_data_moments(rows.mean(axis=0), np.cov(rows.T), GIBBS.n_components)
    components = ConjugateComponents(start.structure, prior)
    partition = FiniteMixtures(ComponentCountLaw.exactly(GIBBS.n_components), 1.0)
    sampler = Gibbs(components, partition, n_splits=1 if moves else 0)
    taken = []
    for trial in range(TRIALS + 1):
        begun = time.perf_counter()
        sample(ArraySource(rows), [start], sampler, np.random.default_rng(trial), n_draws=n_sweeps, n_warmup=0)
        taken.append(time.perf_counter() - begun)
    return taken[1:]
