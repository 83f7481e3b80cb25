"""The exact posterior of a mixture of a few rows: a sum over all partitions of them, the oracle of every sampler and evidence estimator.

Nothing here uses the library: priors of partitions are products of urn probabilities row by row, marginal likelihoods the closed forms of
textbooks, covariance structure by covariance structure.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import gammaln, multigammaln

LogPrior = Callable[[Sequence[int]], float]
"""Log prior probability of the partition that labels describe."""


def partitions(n_rows: int) -> Iterator[tuple[int, ...]]:
    """Labels of every partition of the rows once: each label is no larger than one more than those before it."""

    def grown(labels: tuple[int, ...], n_labels: int) -> Iterator[tuple[int, ...]]:
        if len(labels) == n_rows:
            yield labels
            return
        for label in range(n_labels + 1):
            yield from grown((*labels, label), max(n_labels, label + 1))

    return grown((), 0)


def finite_urn(n_components: int, concentration: float) -> LogPrior:
    """Labels of ``K`` components under symmetric Dirichlet weights, whatever the components are called."""

    def log_prior(labels: Sequence[int]) -> float:
        total, counts = 0.0, []
        for n, label in enumerate(labels):
            if label == len(counts):
                share, counts = (n_components - len(counts)) * concentration, [*counts, 0]
            else:
                share = counts[label] + concentration
            if share <= 0:
                return -np.inf
            total += np.log(share) - np.log(n_components * concentration + n)
            counts[label] += 1
        return total

    return log_prior


def chinese_restaurant(concentration: float) -> LogPrior:
    """Labels under a Dirichlet process."""

    def log_prior(labels: Sequence[int]) -> float:
        total, counts = 0.0, []
        for n, label in enumerate(labels):
            if label == len(counts):
                share, counts = concentration, [*counts, 0]
            else:
                share = counts[label]
            total += np.log(share) - np.log(concentration + n)
            counts[label] += 1
        return total

    return log_prior


def log_marginal(rows: np.ndarray, labels: Sequence[int], name: str, prior) -> float:
    """Log density of rows given their labels under a normal–inverse-Wishart prior, parameters integrated out.

    ``prior`` has ``mean``, ``mean_precision``, ``scale`` and ``degrees_of_freedom``; a diagonal covariance has inverse gamma laws
    ``IG(ν/2, ψ_d/2)``, a round one ``IG(D ν/2, D ψ/2)`` with ``ψ`` the mean of the diagonal.
    """
    n_features, kappa, nu = rows.shape[1], prior.mean_precision, prior.degrees_of_freedom
    groups = [rows[np.equal(labels, k)] for k in range(max(labels) + 1)]
    scatters, total = [], 0.0
    for group in groups:
        mean = group.mean(axis=0)
        shrunk = kappa * len(group) / (kappa + len(group))
        centred = group - mean
        scatters.append(centred.T @ centred + shrunk * np.outer(mean - prior.mean, mean - prior.mean))
        total += 0.5 * n_features * (np.log(kappa / (kappa + len(group))) - len(group) * np.log(np.pi))
    counts = [len(group) for group in groups]
    if name.startswith("tied"):
        scatters, counts = [sum(scatters)], [len(rows)]
    for scatter, n in zip(scatters, counts, strict=True):
        total += _log_block(scatter, n, name.removeprefix("tied_"), prior.scale, nu)
    return total


def _log_block(scatter: np.ndarray, n: int, shape: str, scale: np.ndarray, nu: float) -> float:
    if shape in ("full", "tied"):
        d = len(scale)
        gammas = multigammaln((nu + n) / 2, d) - multigammaln(nu / 2, d)
        return gammas + nu / 2 * np.linalg.slogdet(scale)[1] - (nu + n) / 2 * np.linalg.slogdet(scale + scatter)[1]
    before, added = np.diag(scale), np.diag(scatter)
    if shape == "spherical":
        d = len(before)
        before, added, n, nu = d * before.mean(keepdims=True), added.sum(keepdims=True), d * n, d * nu
    gammas = gammaln((nu + n) / 2) - gammaln(nu / 2)
    return float(np.sum(gammas + nu / 2 * np.log(before) - (nu + n) / 2 * np.log(before + added)))


class SemiConjugateMarginal:
    """Log density of rows given their labels where means are independent of variances, whose scale is learnt, and rows are rounded.

    In one dimension, or for independent features, which are such problems each: means and rows are normal given ``σ²``, so the integrals
    that are left are over ``ln σ²`` and over the log of the scale, on grids. ``prior`` has the names of ``SemiConjugateComponents``.
    """

    def __init__(self, rows: np.ndarray, shared: bool, prior) -> None:
        self.rows, self.shared, self.prior = rows, shared, prior
        self._known: dict[tuple[int, ...], np.ndarray] = {}
        self._scales, self._variances = np.exp(np.linspace(-12, 9, 169)), np.exp(np.linspace(-14, 14, 225))

    def __call__(self, labels: Sequence[int]) -> float:
        groups = [tuple(np.flatnonzero(np.equal(labels, k)).tolist()) for k in range(max(labels) + 1)]
        return sum(self._of_feature(d, groups) for d in range(self.rows.shape[1]))

    def _of_feature(self, d: int, groups: list[tuple[int, ...]]) -> float:
        psi, step = self._scales, np.log(self._scales[1] / self._scales[0])
        shape, rate = self.prior.scale_degrees_of_freedom / 2, self.prior.scale[d, d] / 2
        log_prior = shape * np.log(rate * psi) - gammaln(shape) - rate * psi
        if self.shared:
            given = self._over_variances(sum(self._given_variance(d, group) for group in groups))
        else:
            given = sum(self._of_group(d, group) for group in groups)
        return float(np.logaddexp.reduce(log_prior + given) + np.log(step))

    def _of_group(self, d: int, group: tuple[int, ...]) -> np.ndarray:
        if (d, *group) not in self._known:
            self._known[d, *group] = self._over_variances(self._given_variance(d, group))
        return self._known[d, *group]

    def _over_variances(self, log_densities: np.ndarray) -> np.ndarray:
        """Integrated over ``σ²`` whose inverse is gamma, for each scale."""
        variances, step = self._variances, np.log(self._variances[1] / self._variances[0])
        shape, rates = self.prior.degrees_of_freedom / 2, self._scales[:, None] / 2
        log_prior = shape * np.log(rates / variances) - gammaln(shape) - rates / variances
        return np.logaddexp.reduce(log_prior + log_densities, axis=1) + np.log(step)

    def _given_variance(self, d: int, group: tuple[int, ...]) -> np.ndarray:
        """Log density of a group's rows, their mean integrated out, for each ``σ²``."""
        values, n = self.rows[list(group), d], len(group)
        seen, whole = self._variances + self.prior.resolution[d] ** 2, self.prior.mean_covariance[d, d]
        squares, offset = np.square(values - values.mean()).sum(), values.mean() - self.prior.mean[d]
        log_determinant = (n - 1) * np.log(seen) + np.log(seen + n * whole)
        return -0.5 * (n * np.log(2 * np.pi) + log_determinant + squares / seen + n * offset**2 / (seen + n * whole))


@dataclass(frozen=True, eq=False)
class Exact:
    """The posterior over all partitions of the rows and over the models that are given.

    Attributes
    ----------
    labels : (P, N) integer array
    models : list
        The keys of the models, ``K`` for instance.
    log_joint : (P, J) array
        Of partition, model and rows.
    """

    labels: np.ndarray
    models: list
    log_joint: np.ndarray

    @classmethod
    def of(
        cls, rows: np.ndarray, name: str, prior, models: Mapping[object, tuple[float, LogPrior]], marginal=None
    ) -> "Exact":
        """``models`` gives each model's prior probability and its prior of partitions; ``marginal`` another law of rows given labels."""
        every = list(partitions(len(rows)))
        marginal = marginal or (lambda labels: log_marginal(rows, labels, name, prior))
        marginals = np.array([marginal(labels) for labels in every])
        with np.errstate(divide="ignore"):
            joint = [
                [np.log(probability) + log_prior(labels) for probability, log_prior in models.values()]
                for labels in every
            ]
        return cls(np.array(every), list(models), marginals[:, None] + np.array(joint))

    @cached_property
    def log_evidence(self) -> float:
        return float(np.logaddexp.reduce(self.log_joint, axis=None))

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Of partition and model, ``(P, J)``."""
        return np.exp(self.log_joint - self.log_evidence)

    @cached_property
    def of_partitions(self) -> dict[tuple[int, ...], float]:
        each = self.probabilities.sum(axis=1)
        return {tuple(labels): float(p) for labels, p in zip(self.labels.tolist(), each, strict=True)}

    @cached_property
    def of_models(self) -> dict:
        return dict(zip(self.models, self.probabilities.sum(axis=0).tolist(), strict=True))

    @cached_property
    def of_n_filled(self) -> np.ndarray:
        """Probabilities that 0 … N components have rows."""
        sizes = self.labels.max(axis=1) + 1
        return np.bincount(sizes, self.probabilities.sum(axis=1), minlength=self.labels.shape[1] + 1)

    @cached_property
    def coclustering(self) -> np.ndarray:
        """Probabilities that two rows share a component, ``(N, N)``."""
        together = self.labels[:, :, None] == self.labels[:, None, :]
        return np.tensordot(self.probabilities.sum(axis=1), together, axes=1)
