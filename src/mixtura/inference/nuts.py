"""Draws from the posterior by Hamiltonian Monte Carlo: the No-U-Turn sampler. The one file of the house that imports nutpie.

Labels are summed out, so the posterior is a smooth density of the parameters; one read of the data serves a step of every chain. Chains
begin about the modes that EM has found, in coordinates in which the posterior about the best mode is nearly round. Sources: Hoffman and
Gelman (2014), "The No-U-Turn sampler"; Seyboldt, Carlson and Carpenter (2026) for nutpie, the sampler and its adaptation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from mixtura.data.array import ArraySource
from mixtura.ground.errors import missing_extra
from mixtura.ground.linalg import Array
from mixtura.inference.chain_starts import chain_starts
from mixtura.inference.lockstep import Lockstep
from mixtura.inference.log_posterior import LogPosterior
from mixtura.inference.loop import Progress
from mixtura.model.coordinates import Coordinates
from mixtura.model.draws import Draws
from mixtura.model.independent_prior import IndependentPrior
from mixtura.model.mixture import Mixture
from mixtura.sweep import Sweep

PATIENCE = 0.05
"""Seconds between looks at a chain."""
STATISTICS = {
    "logp": "lp",
    "diverging": "diverging",
    "energy": "energy",
    "energy_error": "energy_error",
    "depth": "tree_depth",
    "maxdepth_reached": "reached_max_treedepth",
    "n_steps": "n_steps",
    "step_size": "step_size",
    "mean_tree_accept": "acceptance_rate",
}
"""nutpie's names of what is known of each draw, and ArviZ's."""


@dataclass(frozen=True, eq=False)
class PosteriorSample:
    """Draws of ``C`` chains, ``S`` each, and what is known of each draw.

    Attributes
    ----------
    draws : Draws
    log_posterior : (C, S) array
        Log density of the likelihood times the prior at ``(π, μ, Σ)`` and, if the prior has one, the log of the common factor.
    log_likelihood : (C, S) array
    common_factor : (C, S) array or None
        Of all spreads, if the prior has one.
    statistics : dict of (C, S) arrays
        Of the sampler, by ArviZ's names: ``lp`` (in its own coordinates), ``diverging``, ``energy``, ``tree_depth``, ``n_steps``, …
    interrupted : bool
        Whether these are the draws made until an interrupt.
    """

    draws: Draws
    log_posterior: Array
    log_likelihood: Array
    common_factor: Array | None
    statistics: dict[str, Array]
    interrupted: bool


def sample(
    source: ArraySource,
    modes: Sequence[Mixture],
    prior: IndependentPrior,
    *,
    rng: np.random.Generator,
    n_draws: int = 1000,
    n_tune: int = 500,
    n_chains: int = 4,
    target_accept: float = 0.9,
    progress: Progress | None = None,
) -> PosteriorSample:
    """Draw from the posterior.

    Parameters
    ----------
    source : ArraySource
    modes : sequence of Mixture
        Where chains begin, in turn, each a standard deviation away in a random direction; the best first. Labels need not agree.
    prior : IndependentPrior
    rng : Generator
    n_draws, n_tune, n_chains : int
        Draws of each chain, and those before, which adapt the sampler and are not kept.
    target_accept : float
        Mean acceptance rate that step sizes are adapted to; nearer to one, steps are shorter and fewer of them diverge.
    progress : Progress, optional
        Called now and then with how many draws are made, and how many there will be.

    Raises
    ------
    MissingExtraError
        If nutpie is not installed.
    InvalidParameterError
        If the posterior has no density at a mode.
    KeyboardInterrupt
        If interrupted before the first draw; afterwards the draws made so far are returned.

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.data.array import ArraySource
    >>> from mixtura.inference.nuts import sample
    >>> from mixtura.model.independent_prior import IndependentPrior
    >>> from mixtura.model.scale_laws import HalfNormal
    >>> x = np.random.default_rng(0).normal(3.0, 2.0, size=(200, 1))
    >>> mode = mx.Mixture([1.0], [x.mean(axis=0)], [x.var()], "spherical")
    >>> prior = IndependentPrior([0.0], [10.0], HalfNormal(5.0))
    >>> sampled = sample(ArraySource(x), [mode], prior, rng=np.random.default_rng(0), n_draws=200, n_chains=2)
    >>> sampled.draws.means.shape
    (2, 200, 1, 1)
    >>> bool(abs(sampled.draws.means.mean() - x.mean()) < 0.05)
    True
    """
    engine = _engine()
    with Sweep(source) as sweep:
        (swept,) = sweep([modes[0].scorer])
        # One row more than it has: a component with hardly any has a scale too.
        target = LogPosterior(sweep, Coordinates(modes[0], swept.moments.count + 1), prior)
        together = Lockstep(target, n_chains)
        settings = {"draws": n_draws, "tune": n_tune, "target_accept": target_accept}
        streams = [np.random.default_rng(seed) for seed in rng.integers(2**63, size=n_chains)]
        chains = [
            _Chain(engine, together, i, start, int(stream.integers(2**63)), settings)
            for i, (start, stream) in enumerate(zip(chain_starts(target, modes, streams), streams, strict=True))
        ]
        interrupted = _run(chains, progress)
    return _collected(target, chains, interrupted)


Engine = Callable[..., Any]
Density = Callable[[Array], tuple[Array, Array]]
Recorder = Callable[[Array], dict[str, Array]]


def _engine() -> Engine:
    """Starts one chain of nutpie in the background."""
    try:
        import nutpie
        from nutpie.compiled_pyfunc import from_pyfunc
    except ImportError as error:
        raise missing_extra("Draws by NUTS", "mcmc") from error

    def begin(density: Density, record: Recorder, start: Array, seed: int, settings: dict[str, Any]) -> Any:
        size = len(start)
        model = from_pyfunc(
            size,
            lambda: density,
            lambda *_: record,
            [np.dtype(np.float64)],
            [(size,)],
            ["q"],
            make_initial_point_fn=lambda _: start,
        )
        options = {"progress_bar": False, "return_raw_trace": True, "blocking": False}
        return nutpie.sample(model, chains=1, seed=seed, **options, **settings)

    return begin


class _Chain:
    """One chain: not begun, running, or ended with its draws ``q`` and what is known of them; it asks for densities by its number."""

    def __init__(
        self, engine: Engine, together: Lockstep, number: int, start: Array, seed: int, settings: dict[str, Any]
    ) -> None:
        self._together, self._number = together, number
        self._engine, self._arguments = engine, (partial(together, number), self._record, start, seed, settings)
        self._sampler: Any = None
        self.n_done, self.n_all = 0, settings["draws"] + settings["tune"]
        self.q, self.statistics = np.empty((0, len(start))), {name: np.empty(0) for name in STATISTICS.values()}

    def _record(self, q: Array) -> dict[str, Array]:
        self.n_done += 1
        return {"q": q}

    def begin(self) -> None:
        self._sampler = self._engine(*self._arguments)

    def has_ended(self) -> bool:
        """Whether it has, after a moment's wait."""
        try:
            self._keep(self._sampler.wait(timeout=PATIENCE))
        except TimeoutError:
            return False
        return True

    def stop(self) -> None:
        """End it now, if it has not ended."""
        if self._sampler is not None:
            self._together.dissolve()
            self._keep(self._sampler.abort())

    def _keep(self, trace: Any) -> None:
        """Take the draws after adaptation."""
        self._sampler = None
        self._together.leave(self._number)
        (draws,), (statistics,) = trace.get_arrow_trace()
        kept = ~np.asarray(statistics.column("tuning").to_numpy(), dtype=bool)
        self.q = np.reshape(draws.column("q").to_pylist(), (-1, self.q.shape[1]))[kept]
        self.statistics = {ours: statistics.column(own).to_numpy()[kept] for own, ours in STATISTICS.items()}


def _run(chains: Sequence[_Chain], progress: Progress | None) -> bool:
    """Run all chains; whether an interrupt ended them early."""
    running = list[_Chain]()
    try:
        for chain in chains:
            running.append(chain)
            chain.begin()
        while running:
            running = [chain for chain in running if not chain.has_ended()]
            if progress is not None:
                progress(sum(chain.n_done for chain in chains), sum(chain.n_all for chain in chains))
    except KeyboardInterrupt:
        return True
    finally:
        for chain in running:
            chain.stop()
    return False


def _collected(target: LogPosterior, chains: Sequence[_Chain], interrupted: bool) -> PosteriorSample:
    """The chains as one rectangle, which after an interrupt is the largest that there is."""
    lengths = [len(chain.q) for chain in chains]
    length = max(lengths, key=lambda n: n * sum(other >= n for other in lengths))
    if not length:
        raise KeyboardInterrupt("interrupted before the first draw")
    whole = [chain for chain in chains if len(chain.q) >= length]
    statistics: dict[str, Array] = {
        name: np.stack([chain.statistics[name][:length] for chain in whole]) for name in STATISTICS.values()
    }
    shape, reference = (len(whole), length), target.about.reference
    vectors, log_factors = target.split(np.stack([chain.q[:length] for chain in whole]))
    place = target.about.place(vectors)
    covariances = target.about.structure.block_from_roots(place.roots).reshape(*shape, *reference.covariances.shape)
    log_posterior = statistics["lp"] - target.about.log_jacobian(place)
    return PosteriorSample(
        draws=Draws(reference.structure, place.weights, place.means, covariances),
        log_posterior=log_posterior,
        log_likelihood=log_posterior - target.log_prior(place, log_factors).value,
        common_factor=np.exp(log_factors) if target.prior.common_log_spread else None,
        statistics=statistics,
        interrupted=interrupted,
    )
