"""Whether the chains of a sampler can be trusted, judged by numbers that do not depend on labels.

A chain that lists components in another order has not gone anywhere, and one that never changes the order has not missed anything. So R̂
and effective sizes are those of quantities on which labels have no influence: the densities of parameters and data, the density at some
rows, sorted weights, how many components hold a row, and the moments of the mixture as a whole.

Chains that are stuck alike agree. So besides: none may stand still, and where the number of components is open, chains must have left the
number that they began with, or have come to one number from several.

The rules are those of Vehtari and others (2021), see ``convergence.py``: R̂ at most 1.01, and bulk and tail effective sizes of at least 100
for each chain. Where there are trajectories, none may diverge, and the energy fraction is at least 0.3: Betancourt (2017), "A conceptual
introduction to Hamiltonian Monte Carlo".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixtura.assess.draws.convergence import bulk_size, energy_fractions, mean_error, r_hat, tail_size
from mixtura.assess.draws.swept import source_of, sweep_draws
from mixtura.data.source import Source
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array, outer
from mixtura.model.draws import Draws
from mixtura.model.rows import evenly_spaced

ROUNDING = 1e-12
"""Of a log-likelihood: by so much that of the same draw may change with its place among others."""
LARGEST_R_HAT = 1.01
FAR_R_HAT = 1.1
"""Above this chains are not slow but in different places."""
LEAST_SIZE = 100
"""Effective draws of each chain."""
LEAST_ENERGY_FRACTION = 0.3
LARGEST_SHARE_AT_DEPTH = 0.05
"""Of draws whose tree was cut off; such chains are slow, not wrong."""
N_PROBES = 20
"""Rows at which the density is watched."""
N_WEIGHTS = 20
"""Weights that are watched, the largest ones: under a Dirichlet process there may be one for every row."""
LEAST_COUNT = 0.5
"""Expected rows from which a component holds one."""
MOST_STILL = 0.5
"""Share of draws that may repeat the one before."""

DISPERSE = "begin the chains with different numbers of components"
MOVE = "fix that number, or draw with moves that split and merge components"

STATISTICS = {
    "lp": "log posterior density of the draw, up to a constant",
    "diverging": "whether the trajectory diverged",
    "energy": "value of the Hamiltonian",
    "energy_error": "how far it was off at the end of the trajectory; anything where that diverged",
    "tree_depth": "depth of the tree of the trajectory",
    "reached_max_treedepth": "whether the tree was cut off",
    "n_steps": "steps of the trajectory",
    "step_size": "length of those steps",
    "acceptance_rate": "mean probability of acceptance",
    "n_filled": "components that hold rows",
}
"""What samplers may say of each draw, ``(C, S)``, under the names that ArviZ gives it; only the last one is our own."""


class Diagnosed(NamedTuple):
    """One quantity: its posterior mean, the Monte Carlo error of that, R̂, and effective sizes of bulk and tails."""

    name: str
    mean: float
    error: float
    r_hat: float
    bulk_size: float
    tail_size: float


@dataclass(frozen=True)
class Diagnostics:
    """How far the chains agree and how much they are worth.

    Attributes
    ----------
    n_chains, n_draws : int
        Draws of each chain.
    quantities : tuple of Diagnosed
        None of them depends on labels.
    n_divergences : int or None
        Draws whose trajectory diverged; ``None`` where the sampler has no trajectories.
    energy_fractions : tuple of float
        Of each chain; empty where there is no energy.
    largest_tree_depth : int or None
    share_at_depth : float or None
        Of draws whose tree was cut off.
    stuck : tuple of (str, str)
        Why chains were given up, or what shows that they do not move, and what to try.
    """

    n_chains: int
    n_draws: int
    quantities: tuple[Diagnosed, ...]
    n_divergences: int | None = None
    energy_fractions: tuple[float, ...] = ()
    largest_tree_depth: int | None = None
    share_at_depth: float | None = None
    stuck: tuple[tuple[str, str], ...] = ()

    @property
    def worst(self) -> Diagnosed:
        """The quantity on which chains agree least."""
        return max(self.quantities, key=lambda quantity: math.inf if math.isnan(quantity.r_hat) else quantity.r_hat)

    @property
    def slowest(self) -> Diagnosed:
        """The quantity of the smallest effective size, of bulk or tails."""
        return min(self.quantities, key=_size)

    @property
    def sound(self) -> bool:
        """Whether no rule is broken. One chain alone is never sound: nothing shows what it has missed."""
        return self.n_chains > 1 and not self._complaints

    @property
    def verdict(self) -> str:
        """All of it in one sentence."""
        if self._complaints:
            wrong, advice = zip(*self._complaints, strict=True)
            return f"Do not trust these draws yet: {', '.join(wrong)}; {advice[0]}."
        found = f"largest R̂ {self.worst.r_hat:.3f}, smallest effective size {_size(self.slowest):.0f}"
        found += ", no divergences" if self.n_divergences == 0 else ""
        if self.n_chains == 1:
            return f"1 chain agrees with itself ({found}), but only several show whether it has missed a mode; draw at least 4."
        return f"{self.n_chains} chains agree: {found}."

    @property
    def _complaints(self) -> list[tuple[str, str]]:
        """What is wrong and what to try, the gravest first."""
        return list(_complaints(self))

    @property
    def extremes(self) -> str:
        """The quantity on which chains agree least, and the one worth the fewest draws, in one line."""
        worst, slowest, total = self.worst, self.slowest, self.n_chains * self.n_draws
        return f"Worst: {worst.name}, R̂ {worst.r_hat:.3f}. Slowest: {slowest.name}, worth {_size(slowest):.0f} of {total} draws."

    def table(self) -> str:
        """One line for each quantity."""
        width = max(len(quantity.name) for quantity in self.quantities)
        lines = [f"{'':<{width}}  {'mean':>11}  {'error':>9}  {'R̂':>6}  {'bulk':>6}  {'tail':>6}"]
        for q in self.quantities:
            lines.append(
                f"{q.name:<{width}}  {q.mean:>11.5g}  {q.error:>9.2g}  {q.r_hat:>6.3f}  {q.bulk_size:>6.0f}  {q.tail_size:>6.0f}"
            )
        return "\n".join(lines)

    def __str__(self) -> str:
        return f"{self.verdict}\n{self.extremes}"


def _size(quantity: Diagnosed) -> float:
    sizes = quantity.bulk_size, quantity.tail_size
    return 0.0 if any(map(math.isnan, sizes)) else min(sizes)


def _complaints(found: Diagnostics) -> Iterator[tuple[str, str]]:
    worst, slowest, least_size = found.worst, found.slowest, LEAST_SIZE * found.n_chains
    yield from found.stuck
    if math.isnan(worst.r_hat):
        yield f"the {worst.name} is not finite in every draw", "start the chains elsewhere"
    elif math.isinf(worst.r_hat):
        if not found.stuck:
            yield (
                f"the {worst.name} never changes within a chain, and differs between chains",
                "start the chains elsewhere",
            )
    elif worst.r_hat > FAR_R_HAT:
        yield f"R̂ of the {worst.name} is {worst.r_hat:.2f}", "see whether chains sit in different modes, and draw more"
    elif worst.r_hat > LARGEST_R_HAT:
        yield f"R̂ of the {worst.name} is {worst.r_hat:.3f}", "draw more"
    if found.n_divergences:
        yield f"{found.n_divergences} divergences", "raise target_accept or take tighter priors"
    if not math.isnan(worst.r_hat) and _size(slowest) < least_size:
        yield f"the effective size of the {slowest.name} is {_size(slowest):.0f}, less than {least_size}", "draw more"
    if found.energy_fractions and min(found.energy_fractions) < LEAST_ENERGY_FRACTION:
        yield f"the energy fraction of a chain is {min(found.energy_fractions):.2f}", "take priors with lighter tails"
    if found.share_at_depth is not None and found.share_at_depth > LARGEST_SHARE_AT_DEPTH:
        yield f"{found.share_at_depth:.0%} of the trees were cut off", "raise the largest depth or tune for longer"


def diagnose(
    draws: Draws,
    X: ArrayLike | Source,
    statistics: Mapping[str, ArrayLike] | None = None,
    *,
    n_begun: Sequence[int] | None = None,
    accepted: Sequence[float] | None = None,
    trouble: tuple[str, str] | None = None,
) -> Diagnostics:
    """Look at the chains through quantities that do not depend on labels.

    Parameters
    ----------
    draws : Draws
    X : (N, D) array-like or Source
        The rows that they were inferred from.
    statistics : mapping of str to (C, S) array-like, optional
        What the sampler says of each draw: some of ``STATISTICS``.
    n_begun : sequence of C int, optional
        Components that each chain began with, where their number is open.
    accepted : sequence of C float, optional
        Share of the moves between numbers of components that each chain accepted, where such moves were made.
    trouble : (str, str), optional
        Why the sampler gave chains up, and what to try.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.assess.draws.diagnostics import diagnose
    >>> from mixtura.model.covariance import covariance_structure
    >>> from mixtura.model.draws import Draws
    >>> rng = np.random.default_rng(0)
    >>> means = np.array([0.0, 5.0])[:, None] + 0.1 * rng.normal(size=(4, 500, 2, 1))
    >>> means[0] = means[0, :, ::-1]  # one chain lists them the other way round: no harm
    >>> draws = Draws(covariance_structure("spherical"), rng.dirichlet([9, 9], (4, 500)), means, np.ones((4, 500, 2)))
    >>> print(diagnose(draws, [[0.0], [1.0], [4.5], [5.0]], {"diverging": np.zeros((4, 500), bool)}).verdict)
    4 chains agree: largest R̂ 1.003, smallest effective size 1773, no divergences.
    """
    given = checked_statistics(draws, statistics)
    found = invariants(draws, X, statistics)
    n_divergences = int(given["diverging"].sum()) if "diverging" in given else None
    return Diagnostics(
        draws.n_chains,
        draws.n_draws,
        tuple(
            Diagnosed(name, float(v.mean()), mean_error(v), r_hat(v), bulk_size(v), tail_size(v))
            for name, v in found.items()
        ),
        n_divergences,
        tuple(energy_fractions(given["energy"]).tolist()) if "energy" in given else (),
        int(given["tree_depth"].max()) if "tree_depth" in given else None,
        float(given["reached_max_treedepth"].mean()) if "reached_max_treedepth" in given else None,
        (*([trouble] if trouble else []), *_stuck(found["log-likelihood"], given.get("n_filled"), n_begun, accepted)),
    )


def _stuck(
    log_likelihoods: Array,
    n_filled: NDArray[np.int64] | None,
    n_begun: Sequence[int] | None,
    accepted: Sequence[float] | None,
) -> Iterator[tuple[str, str]]:
    """What shows that chains do not move, though they may agree, and what to try."""
    steps, digits = np.diff(log_likelihoods, axis=1), ROUNDING * np.abs(log_likelihoods[:, 1:])
    still = (np.abs(steps) <= digits).mean(axis=1)
    if still.max() > MOST_STILL:
        chain = int(still.argmax())
        yield f"chain {chain} stands still in {still[chain]:.0%} of its draws", "start the chains elsewhere"
    if n_filled is None or n_begun is None or np.ptp(n_filled, axis=1).any() or list(n_filled[:, 0]) != list(n_begun):
        return
    if len(set(n_begun)) > 1:
        numbers = ", ".join(map(str, n_begun))
        yield f"each chain keeps the number of filled components that it began with ({numbers})", MOVE
    elif accepted is None:
        yield f"no chain has left the {n_begun[0]} filled components that all of them began with", DISPERSE
    elif not any(accepted):
        moved = "no chain accepted a move to another number of components"
        yield f"{moved}, and all of them began with the {n_begun[0]} that they fill", DISPERSE


def checked_statistics(draws: Draws, statistics: Mapping[str, ArrayLike] | None) -> dict[str, NDArray[Any]]:
    """What the sampler says as arrays ``(C, S)``, or an error."""
    arrays = {name: np.asarray(values) for name, values in (statistics or {}).items()}
    for name, values in arrays.items():
        if name not in STATISTICS:
            raise InvalidParameterError(f"statistics may hold {', '.join(STATISTICS)}; got {name!r}.")
        if values.shape != (draws.n_chains, draws.n_draws):
            raise InvalidParameterError(
                f"statistics[{name!r}] must have shape {(draws.n_chains, draws.n_draws)}; got {values.shape}."
            )
        if name != "energy_error" and not np.isfinite(values).all():
            raise InvalidParameterError(
                f"statistics[{name!r}] must be finite; got {values[~np.isfinite(values)][0]}. Start the chain elsewhere."
            )
    return arrays


def invariants(
    draws: Draws, X: ArrayLike | Source, statistics: Mapping[str, ArrayLike] | None = None
) -> dict[str, Array]:
    """Quantities that do not depend on labels, by name, ``(C, S)`` each.

    Parameters
    ----------
    draws : Draws
    X : (N, D) array-like or Source
    statistics : mapping of str to (C, S) array-like, optional
        As for ``diagnose``.
    """
    source, given = source_of(draws, X), checked_statistics(draws, statistics)
    log_likelihoods, counts = sweep_draws(draws, source)
    probes = evenly_spaced(source.n_rows, N_PROBES)
    log_pdfs = draws.log_pdfs(source.take(probes)[0])
    weights = -np.sort(-draws.weights, axis=2)
    log_weights = np.log(np.where(weights > 0, weights, 1.0))
    total = _total_covariance(draws)
    found = {"log posterior": given["lp"]} if "lp" in given else {}
    found["log-likelihood"] = log_likelihoods
    found |= {f"log density at row {n}": log_pdfs[:, :, i] for i, n in enumerate(probes.tolist())}
    found |= {f"weight {k + 1} by size": weights[:, :, k] for k in range(min(draws.n_components, N_WEIGHTS))}
    found["entropy of the weights"] = -(weights * log_weights).sum(axis=2)
    found["number of filled components"] = given.get("n_filled", (counts >= LEAST_COUNT).sum(axis=2))
    found["trace of the total covariance"] = np.trace(total, axis1=2, axis2=3)
    found["log-determinant of the total covariance"] = np.linalg.slogdet(total)[1]
    return {name: values.astype(np.float64) for name, values in found.items()}


def _total_covariance(draws: Draws) -> Array:
    """``Σ_k π_k (Σ_k + (μ_k − μ̄)(μ_k − μ̄)ᵀ)``, ``(C, S, D, D)``."""
    offsets = draws.means - (draws.weights[..., None] * draws.means).sum(axis=2, keepdims=True)
    return (draws.weights[..., None, None] * (draws.covariance_matrices + outer(offsets))).sum(axis=2)
