"""The log evidence by importance sampling about modes, without any chain.

About each mode the log posterior is nearly a parabola in unconstrained coordinates, and the proposal is Student's t law of that shape,
whose tails are heavier than those of most posteriors. The posterior has ``K!`` copies of every mode, so the density of the proposal is
averaged over all orders of the components:

    p(x) = E_q[ p(x | θ) p(θ) / q̄(θ) ],   q̄(θ) = (1/K!) Σ_σ q(θ_σ).

A coordinate belongs to one component, but its reference to a place in the order. So what each component adds to the whitened vector in each
place, ``K²`` parts, is worked out once, and an order is a sum of ``K`` of them.

Few rows leave a posterior that is no sum of parabolas, and modes may have been left out. So beside Student's t laws stand conjugate laws
about all optima that variational Bayes finds from the modes, under the prior itself or a weak one in its place, and the proposal learns
from its own draws. Sources: Geweke (1989), "Bayesian inference in econometric models using Monte Carlo integration"; Hesterberg (1995),
"Weighted average importance sampling and defensive mixture distributions", for a share of wider draws; Berkhof, van Mechelen and Gelman
(2003), "A Bayesian approach to the selection and testing of mixture models", for the symmetric average.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from mixtura.assess.evidence.allocations import given, with_flattened
from mixtura.assess.evidence.drawn import NUMBERS
from mixtura.assess.evidence.estimate import LogEvidence
from mixtura.assess.evidence.optima import COMPARED_ROWS, distinct, optima
from mixtura.assess.evidence.pareto import LEAST_WEIGHTS
from mixtura.assess.evidence.points import Conditional, PointJoint, Points
from mixtura.assess.evidence.population import Law, cover, trusted
from mixtura.data.source import Source
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.inference.sampling.log_posterior import LogPosterior, check_weights
from mixtura.model.coordinates import Coordinates
from mixtura.model.draws import Draws
from mixtura.model.laws.log_densities import LogPrior
from mixtura.model.mixture import Mixture
from mixtura.sweep import Sweep

MOST_COMPONENTS = 7
"""With 5040 orders."""
MOST_MODES = 6
"""That Student's t laws stand about."""
DEGREES_OF_FREEDOM = 5.0
WIDENING, WIDE_SHARE = 2.0, 0.5
"""A share of the draws comes from a law that is so much wider: where a proposal is too narrow, its own draws do not tell."""
STEP = 0.1
"""Of differences, in coordinates in which labelled rows would give each parameter a standard error of one."""
LEAST_CURVATURE = 0.02
"""In those units a direction that the data leave open is given a spread of seven."""
LONGEST_STEP = 10.0
MOST_STEPS = 30
LEAST_GAIN = 1e-3
"""A mode is found when the parabola promises no more."""


def mode_sampling(
    modes: Sequence[Mixture], source: Source, prior: LogPrior, rng: np.random.Generator, *, n_draws: int = 1000
) -> LogEvidence:
    """The log evidence of a mixture of a known number of components, from one or several modes.

    Parameters
    ----------
    modes : sequence of Mixture
        Each need only be near a mode of the posterior, which is looked for.
    source : Source
    prior : LogPrior
    rng : numpy Generator
    n_draws : int, default=1000
        Of each round of learning; at least 25.

    Returns
    -------
    LogEvidence

    Raises
    ------
    InvalidParameterError
        If there are too few draws, no mode, modes of several kinds, more than seven components, or one without weight.
    UnknownEvidenceError
        If a few draws make all of the estimate, or chains always end where no proposal reaches.

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.assess.evidence.mode_sampling import mode_sampling
    >>> from mixtura.data.array import ArraySource
    >>> from mixtura.model.laws.components import ConjugateComponents
    >>> from mixtura.model.laws.log_densities import ConjugatePrior
    >>> source = ArraySource(np.array([[0.0], [1.0], [10.0], [11.0], [12.0]]))
    >>> mode = mx.Mixture([0.4, 0.6], [[0.5], [11.0]], [1.0, 1.0], "spherical")
    >>> niw = mx.NormalInverseWishart(mean=[6.0], mean_precision=0.1, scale=[[4.0]], degrees_of_freedom=4)
    >>> prior = ConjugatePrior(ConjugateComponents(mode.structure, niw), 1.0)
    >>> found = mode_sampling([mode], source, prior, np.random.default_rng(0))
    >>> abs(found.value + 15.5137) < 4 * found.standard_error < 0.2
    True
    """
    if not modes or n_draws < LEAST_WEIGHTS:
        raise InvalidParameterError(
            f"importance sampling needs a mode and at least {LEAST_WEIGHTS} draws; got {len(modes)} modes and n_draws={n_draws!r}."
        )
    if any(m.structure is not modes[0].structure or m.means.shape != modes[0].means.shape for m in modes):
        raise InvalidParameterError("modes must be mixtures of one covariance type and of one shape.")
    check_weights(modes)
    if modes[0].n_components > MOST_COMPONENTS:
        raise InvalidParameterError(
            f"the components of {modes[0].n_components} have too many orders to average over; at most {MOST_COMPONENTS} are feasible. "
            "Use bridge sampling."
        )
    with Sweep(source) as sweep:
        target = PointJoint.of(sweep, prior, modes[0])
        near = given([swept.moments for swept in sweep([mode.scorer for mode in modes])], target.before, (1.0,))
        beliefs = with_flattened(optima(near, source, rng).beliefs)
        separate = distinct(modes, source.take(np.arange(min(COMPARED_ROWS, source.n_rows)))[0])[:MOST_MODES]
        about = [StudentProposal.at(mode, sweep, target.log_posteriors) for mode in separate]
        laws: list[Law] = [*about, *(Conditional(belief) for belief in beliefs)]
        return trusted(cover(laws, target, modes[0].n_components, n_draws, rng))


@dataclass(frozen=True, eq=False)
class StudentProposal:
    """Two Student's t laws of reduced coordinates, one wider, averaged over the orders of the components.

    Attributes
    ----------
    about : Coordinates
    centre : (p,) array
        The mode, a reduced vector.
    root : (p, p) array
        ``C``: draws are ``centre + C t`` with ``t`` of a standard t law, or of a widened one.
    """

    about: Coordinates
    centre: Array
    root: Array

    @classmethod
    def at(cls, mixture: Mixture, sweep: Sweep, log_posteriors: LogPosterior) -> StudentProposal:
        """At the mode that the climb from a mixture ends in, and as wide as the posterior is there."""
        (swept,) = sweep([mixture.scorer])
        # One row more than it has: a component with hardly any has a scale too.
        about = Coordinates(mixture, swept.moments.count + 1)

        def heights(vectors: Array) -> Array:
            expanded = about.expanded(vectors)
            return log_posteriors([about.mixture(u) for u in expanded]) + about.log_jacobian(expanded)

        return cls(about, *climb(heights, about.size - 1))

    def draw(self, n_draws: int, rng: np.random.Generator) -> Points:
        """So many mixtures."""
        stretch = np.sqrt(DEGREES_OF_FREEDOM / rng.chisquare(DEGREES_OF_FREEDOM, n_draws))
        stretch[rng.random(n_draws) < WIDE_SHARE] *= WIDENING
        standard = stretch[:, None] * rng.standard_normal((n_draws, len(self.centre)))
        drawn = [self.about.mixture(u) for u in self.about.expanded(self.centre + standard @ self.root.T)]
        arrays = (np.array([[getattr(m, name) for m in drawn]]) for name in ("weights", "means", "covariances"))
        return Points.of(Draws(self.about.structure, *arrays))

    def log_densities(self, points: Points) -> Array:
        """Of ``(π, μ, Σ)`` for each mixture, ``(S,)``."""
        n_components = points.draws.n_components
        n_orders = math.factorial(n_components)
        size = max(1, NUMBERS // (n_orders + n_components**2 * len(self.centre)))
        draws = points.draws
        pieces = (slice(start, start + size) for start in range(0, len(points), size))
        parts = [
            self._of_few(Draws(draws.structure, draws.weights[:, p], draws.means[:, p], draws.covariances[:, p]))
            for p in pieces
        ]
        return np.concatenate(parts) - math.log(n_orders)

    def _of_few(self, draws: Draws) -> Array:
        """The sum over orders, for mixtures that fit in memory together."""
        vectors, log_jacobians = self._parts(draws)
        places = range(len(vectors))
        terms = []
        for order in permutations(places):
            squares = np.square(sum(vectors[j][:, k] for j, k in enumerate(order))).sum(axis=1)
            terms.append(self._log_student(squares) - sum(log_jacobians[j][:, k] for j, k in enumerate(order)))
        return np.asarray(np.logaddexp.reduce(terms, axis=0) - np.log(draws.weights[0]).sum(axis=1))

    def _log_student(self, squares: Array) -> Array:
        """Log density of reduced coordinates at these squared lengths of ``C⁻¹ (u − centre)``."""
        size, half = len(self.centre), 0.5 * (DEGREES_OF_FREEDOM + len(self.centre))
        constant = math.lgamma(half) - math.lgamma(0.5 * DEGREES_OF_FREEDOM)
        constant -= 0.5 * size * math.log(math.pi * DEGREES_OF_FREEDOM) + np.linalg.slogdet(self.root)[1]
        narrow, wide = (-half * np.log1p(squares / width**2 / DEGREES_OF_FREEDOM) for width in (1.0, WIDENING))
        shares = math.log1p(-WIDE_SHARE), math.log(WIDE_SHARE) - size * math.log(WIDENING)
        return constant + np.logaddexp(shares[0] + narrow, shares[1] + wide)

    def _parts(self, draws: Draws) -> tuple[Array, Array]:
        """What component ``k`` of mixture ``s`` in place ``j`` adds to ``C⁻¹ (u − centre)`` and to the log-Jacobian, less ``Σ log π``.

        ``(K, S, K, p)`` and ``(K, S, K)``. What belongs to no component, a shared block for instance, is added in the first place.
        """
        about, structure, reference = self.about, self.about.structure, self.about.reference
        (n_components, n_features), n_mixtures = reference.means.shape, len(draws)
        own = structure.block_roots(structure.as_blocks(reference.covariances))
        roots = structure.block_roots(draws.covariances.reshape(-1, *structure.block_shape(n_features)))
        log_weights, means = np.log(draws.weights[0]), draws.means[0]
        by_units = np.linalg.solve(self.root, np.transpose([about.reduced(unit) for unit in np.diag(about.unit)])).T
        ends = n_components, n_components * (1 + n_features)
        by_logs, by_means, by_blocks = np.split(by_units, ends)
        by_means, by_blocks = (
            by_means.reshape(n_components, n_features, -1),
            by_blocks.reshape(len(own), -1, len(self.centre)),
        )
        slope = structure.block_log_jacobian_slope(n_features)
        vectors = np.empty((n_components, n_mixtures, n_components, len(self.centre)))
        log_jacobians = np.zeros(vectors.shape[:3])
        for j in range(n_components):
            root = own[0 if structure.shared else j]
            flat = (means - reference.means[j]).reshape(-1, n_features)
            offsets = structure.whiten_by_roots(np.broadcast_to(root, (len(flat), *root.shape)), flat)
            log_ratios = log_weights - np.log(reference.weights[j])
            vectors[j] = log_ratios[:, :, None] * by_logs[j] + offsets.reshape(means.shape) @ by_means[j]
            if j == 0 or not structure.shared:
                t = structure.relative_coordinates(np.broadcast_to(root, roots.shape), roots)
                t = t.reshape(n_mixtures, -1, len(slope))
                vectors[j] += t @ by_blocks[j]
                log_jacobians[j] += t @ slope
        vectors[0] -= np.linalg.solve(self.root, self.centre)
        log_jacobians[0] += about.log_jacobian(np.zeros(about.size)) - np.log(reference.weights).sum()
        return vectors, log_jacobians


def climb(heights: Callable[[Array], Array], size: int) -> tuple[Array, Array]:
    """A maximum of a function of stacks of vectors ``(V, p)``, from the origin, and a root of minus the inverse of its curvature there.

    Newton's method on differences, all of a step in one call. Directions of little curvature, or of the wrong sign, are given a least one.
    """
    at = np.zeros(size)
    for _ in range(MOST_STEPS):
        height, slope, curvature = _parabola(heights, at)
        eigenvalues, directions = np.linalg.eigh(curvature)
        root = directions / np.sqrt(np.maximum(eigenvalues, LEAST_CURVATURE))
        promised = root.T @ slope
        if 0.5 * promised @ promised < LEAST_GAIN:
            break
        step = root @ promised
        step *= min(1.0, LONGEST_STEP / float(np.linalg.norm(step)))
        trials = at + np.multiply.outer(0.5 ** np.arange(8), step)
        reached = heights(trials)
        if not reached.max() > height:
            break
        at = trials[reached.argmax()]
    return at, root


def _parabola(heights: Callable[[Array], Array], at: Array) -> tuple[float, Array, Array]:
    """Value, gradient, and minus the Hessian of a function, by central differences."""
    size = len(at)
    steps, (rows, columns) = STEP * np.eye(size), np.triu_indices(size, 1)
    diagonals = steps[rows] + steps[columns]
    found = heights(at + np.concatenate([np.zeros((1, size)), steps, -steps, diagonals, -diagonals]))
    height, others = found[0], found[1:]
    ahead, behind, both_ahead, both_behind = np.split(others, [size, 2 * size, 2 * size + len(rows)])
    bends = ahead + behind - 2 * height
    curvature = np.diag(bends)
    curvature[rows, columns] = 0.5 * (both_ahead + both_behind - 2 * height - bends[rows] - bends[columns])
    curvature[columns, rows] = curvature[rows, columns]
    return float(height), (ahead - behind) / (2 * STEP), -curvature / STEP**2
