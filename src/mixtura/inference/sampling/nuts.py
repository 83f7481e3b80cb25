"""Draws from the posterior by Hamiltonian Monte Carlo: the No-U-Turn sampler. The one file of the house that imports nutpie.

Labels are summed out, so the posterior is a smooth density of the parameters. The compiled engine goes over rows that fit a cache, for
each chain on its own and without a frame of Python; of others one read serves a step of every chain. Chains begin about the modes that
hold the posterior, in coordinates in which it is nearly round about the best mode that EM has found. Sources: Hoffman and Gelman (2014),
"The No-U-Turn sampler"; Seyboldt, Carlson and Carpenter (2026) for nutpie, the sampler and its adaptation.

A chain is given up, and says so, once its trajectories have become so long that it would hardly get on, or that it will need more gradients
than it may take. That is decided by its own draws, and by how many gradients they took, alone. So a seed fixes what is returned however the
threads happen to run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtura.data.source import Source
from mixtura.ground.errors import missing_extra
from mixtura.ground.linalg import Array
from mixtura.inference.sampling.chain_starts import chain_starts, free_log_posterior
from mixtura.inference.sampling.lockstep import Lockstep
from mixtura.inference.sampling.log_posterior import FreeLogPosterior
from mixtura.inference.sampling.narrow import narrowest
from mixtura.inference.sampling.posterior_sample import PosteriorSample, Progress, Trouble
from mixtura.model.draws import Draws
from mixtura.model.laws.log_densities import SmoothPrior
from mixtura.model.mixture import Mixture
from mixtura.sweep import Sweep
from mixtura.sweep.densities import Counted

PATIENCE = 0.05
"""Seconds between looks at a chain."""
LONG, LONG_DRAWS = 500, 10
"""A chain that has needed so many gradients for each of so many draws, in the mean, is given up."""
LEAST_DRAWS = 4
"""Of a chain: fewer say nothing, not even of themselves."""
FIRST_DRAWS = 50
"""Before these it is given up only where a component has become narrow: scales have yet to be learnt."""
FORESEEN_DRAWS = 50
"""So many more show what all that are left will take."""
TOO_MANY = 1.25
"""Times the gradients that a chain may take, at which it is given up if it will need them."""
GRADIENTS = (40, 400)
"""For a draw, least and most, that a chain may take if nothing else is said: as many as take some ten seconds."""
MULTIPLICATIONS = 10**11
"""That take so long."""
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
class NutsSample(PosteriorSample):
    """What NUTS brings back.

    ``log_posterior`` is the log density of the likelihood times the prior at ``(π, μ, Σ)`` and, if the prior has one, the log of the common
    factor. ``statistics`` are ``lp`` (the same in the sampler's own coordinates), ``diverging``, ``energy``, ``tree_depth``, ``n_steps``
    and more.

    Attributes
    ----------
    common_factor : (C, S) array or None
        Of all spreads, if the prior has one.
    """

    common_factor: Array | None


def sample(
    source: Source,
    modes: Sequence[Mixture],
    prior: SmoothPrior,
    *,
    rng: np.random.Generator,
    n_draws: int = 1000,
    n_tune: int = 500,
    n_chains: int = 4,
    target_accept: float = 0.9,
    gradients_per_draw: int | None = None,
    names: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> NutsSample:
    """Draw from the posterior.

    Parameters
    ----------
    source : Source
    modes : sequence of Mixture
        From which chains find the modes where they begin; the best first. Labels need not agree.
    prior : SmoothPrior
    rng : Generator
    n_draws, n_tune, n_chains : int
        Draws of each chain, and those before, which adapt the sampler and are not kept.
    target_accept : float
        Mean acceptance rate that step sizes are adapted to; nearer to one, steps are shorter and fewer of them diverge.
    gradients_per_draw : int, optional
        That a chain may take in the mean, tuning included: where it would need many more for all of its draws, it ends. By default from 40
        for large data to 400 for small.
    names : sequence of str, optional
        Of the columns, for what is said of chains that were given up.
    progress : Progress, optional
        Called now and then with how many draws are made, and how many there will be, those for tuning included.

    Returns
    -------
    NutsSample
        Where a chain was given up, or after an interrupt, the draws made so far; ``trouble`` says why. A chain given up while it was being
        tuned counts only if no other has come further.

    Raises
    ------
    MissingExtraError
        If nutpie is not installed.
    InvalidParameterError
        If the posterior has no density at any mode.
    KeyboardInterrupt
        If interrupted before the first draw; afterwards the draws made so far are returned.

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.data.array import ArraySource
    >>> from mixtura.inference.sampling.nuts import sample
    >>> from mixtura.model.laws.independent import IndependentPrior
    >>> from mixtura.model.laws.scale_laws import HalfNormal
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
        target = free_log_posterior(sweep, modes[0], prior)
        in_cache, together = target.in_cache, Lockstep(target, n_chains)
        settings = {"draws": n_draws, "tune": n_tune, "target_accept": target_accept}

        def is_narrow(q: Array) -> bool:
            return narrowest(target, q, source.facts) is not None

        n_all = n_draws + n_tune
        most = n_all * (gradients_per_draw or _affordable(source, modes[0], n_all * n_chains))
        streams = [np.random.default_rng(seed) for seed in rng.integers(2**63, size=n_chains)]
        chains = [
            _Chain(
                engine,
                together.seat(i) if in_cache is None else in_cache.counted(),
                start,
                int(stream.integers(2**63)),
                settings,
                most,
                is_narrow,
            )
            for i, (start, stream) in enumerate(zip(chain_starts(target, modes, streams), streams, strict=True))
        ]
        interrupted = _run(chains, together, progress)
    return _collected(target, chains, source, names, interrupted)


def _affordable(source: Source, mode: Mixture, n_draws: int) -> int:
    """Gradients for each of so many draws."""
    work = source.n_rows * mode.means.size * (1 if mode.structure.diagonal else source.n_features)
    least, most = GRADIENTS
    return min(max(least, MULTIPLICATIONS // (work * n_draws)), most)


Engine = Callable[..., Any]
Recorder = Callable[[Array], dict[str, Array]]


def _engine() -> Engine:
    """Starts one chain of nutpie in the background."""
    try:
        import nutpie
        from nutpie.compiled_pyfunc import from_pyfunc
    except ImportError as error:
        raise missing_extra("Draws by NUTS", "mcmc") from error

    def begin(density: Counted, record: Recorder, start: Array, seed: int, settings: dict[str, Any]) -> Any:
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
    """One chain: not begun, running, or ended with its draws ``q`` and what is known of them; it may take so many gradients at ``most``."""

    def __init__(
        self,
        engine: Engine,
        density: Counted,
        start: Array,
        seed: int,
        settings: dict[str, Any],
        most: int,
        is_narrow: Callable[[Array], bool],
    ) -> None:
        self._engine, self._arguments = engine, (density, self._record, start, seed, settings)
        self._density, self._most, self._is_narrow = density, most, is_narrow
        self._sampler: Any = None
        self._taken = [0]
        self.n_tune, self.n_all = settings["tune"], settings["draws"] + settings["tune"]
        self.n_done = 0
        self._last = deque[Array](maxlen=LONG_DRAWS)
        self.gave_up_at: int | None = None
        self.q = self.made = np.empty((0, len(start)))
        self.statistics = {name: np.empty(0) for name in STATISTICS.values()}

    def _record(self, q: Array) -> dict[str, Array]:
        self.n_done += 1
        if self.gave_up_at is None:
            self._last.append(q)
            self._taken.append(self.n_gradients)
            if LEAST_DRAWS <= self.n_done < self.n_all and (self._takes_too_many() or self._crawls()):
                self.gave_up_at = self.n_done
                self._density.close()  # what is left of the chain costs nothing
        return {"q": q}

    @property
    def n_gradients(self) -> int:
        """That it has taken."""
        return self._density.n_asked

    @property
    def pace(self) -> float:
        """Gradients for each of the last draws, once there are some."""
        return (self._taken[-1] - self._taken[-1 - LONG_DRAWS]) / LONG_DRAWS if len(self._taken) > LONG_DRAWS else 0.0

    def _crawls(self) -> bool:
        """Whether it hardly gets on."""
        return self.pace >= LONG and (self.n_done > FIRST_DRAWS or self._is_narrow(np.array(self._last)))

    def _takes_too_many(self) -> bool:
        """Whether it has taken all the gradients that it may, or is going to, as far as its last draws tell."""
        taken = self.n_gradients
        if taken >= self._most:
            return True
        if self.n_done < FIRST_DRAWS + FORESEEN_DRAWS:
            return False
        pace = (self._taken[-1] - self._taken[-1 - FORESEEN_DRAWS]) / FORESEEN_DRAWS
        return bool(taken + pace * (self.n_all - self.n_done) >= TOO_MANY * self._most)

    @property
    def is_tuned(self) -> bool:
        """Whether it was not given up before it was, and had some draws."""
        return self.gave_up_at is None or self.gave_up_at >= self.n_tune + LEAST_DRAWS

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
            self._keep(self._sampler.abort())

    def _keep(self, trace: Any) -> None:
        """Take the draws after adaptation; those before, if it was given up then."""
        self._sampler = None
        self._density.close()
        (draws,), (statistics,) = trace.get_arrow_trace()
        q = np.reshape(draws.column("q").to_pylist(), (-1, self.q.shape[1]))
        self.made = q[: self.gave_up_at]
        kept = slice(self.n_tune if self.is_tuned else 0, self.gave_up_at)
        self.q = q[kept]
        self.statistics = {ours: statistics.column(own).to_numpy()[kept] for own, ours in STATISTICS.items()}


def _run(chains: Sequence[_Chain], together: Lockstep, progress: Progress | None) -> bool:
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
        together.dissolve()
        for chain in running:
            chain.stop()
    return False


def _collected(
    target: FreeLogPosterior,
    chains: Sequence[_Chain],
    source: Source,
    names: Sequence[str] | None,
    interrupted: bool,
) -> NutsSample:
    """The chains as one rectangle, which after an interrupt is the largest that there is."""
    among = [chain for chain in chains if chain.is_tuned] or chains
    lengths = [len(chain.q) for chain in among]
    length = max(lengths, key=lambda n: n * sum(other >= n for other in lengths))
    if not length:
        raise KeyboardInterrupt("interrupted before the first draw")
    whole = [chain for chain in among if len(chain.q) >= length]
    statistics: dict[str, Array] = {
        name: np.stack([chain.statistics[name][:length] for chain in whole]) for name in STATISTICS.values()
    }
    shape, reference = (len(whole), length), target.about.reference
    vectors, log_factors = target.split(np.stack([chain.q[:length] for chain in whole]))
    place = target.about.place(vectors)
    covariances = target.blocks(place).reshape(*shape, *reference.covariances.shape)
    log_posterior = statistics["lp"] - target.about.log_jacobian(place)
    return NutsSample(
        draws=Draws(reference.structure, place.weights, place.means, covariances),
        log_posterior=log_posterior,
        log_likelihood=log_posterior - target.log_prior(place, log_factors).value,
        common_factor=np.exp(log_factors) if target.prior.common_log_spread else None,
        statistics=statistics,
        interrupted=interrupted,
        trouble=_trouble(target, chains, source, names),
    )


def _trouble(
    target: FreeLogPosterior, chains: Sequence[_Chain], source: Source, names: Sequence[str] | None
) -> Trouble | None:
    """What became of the chains that were given up."""
    given_up = [chain for chain in chains if chain.gave_up_at is not None]
    if not given_up:
        return None
    found = [narrowest(target, chain.made, source.facts) for chain in given_up]
    narrow, worst = max(zip(found, given_up, strict=True), key=lambda pair: (pair[0] is not None, pair[1].pace))
    cause, remedy = (narrow and narrow.in_words(target, source, names)) or (
        f"{source.n_rows} rows say little of {target.size} parameters",
        "take fewer components, a simpler covariance_type or a narrower prior, or let chains take more (Nuts(gradients_per_draw=...))",
    )
    happened = (
        f"{len(given_up)} of {len(chains)} chains were given up, one after {worst.gave_up_at} of {worst.n_all} draws"
    )
    tuning = "" if worst.is_tuned else ", while it was still being tuned"
    pace = max(worst.pace, worst.n_gradients / len(worst.made))
    return Trouble(
        f"{happened}{tuning}: it took {worst.n_gradients} gradients, {pace:.0f} a draw, because {cause}", remedy
    )
