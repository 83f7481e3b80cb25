"""What ``mixtura fit`` does where a posterior is asked for instead of the likeliest mixture."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mixtura.cli.tables import Table
    from mixtura.ground.linalg import Array
    from mixtura.model.mixture import Mixture
    from mixtura.model.parameters import Interval

POSTERIORS = {
    "cavi": "variational Bayes by coordinate ascent",
    "svi": "variational Bayes by stochastic steps",
    "gibbs": "Gibbs sampling",
    "nuts": "the No-U-Turn sampler",
}
"""Solvers that find a posterior."""


def fit_posterior(
    table: Table, solver: str, sizes: range, structures: list[str], seed: int, settings: dict[str, Any]
) -> tuple[Mixture, dict[str, Any]]:
    """The point that stands for the posterior, without its empty components, and what is to be remembered of the fit."""
    from mixtura.assess.describe import posterior_facts

    if len(structures) > 1:
        raise click.ClickException(
            f"--solver {solver} fits one covariance structure; got {', '.join(structures)}. Name one with --covariance."
        )
    how = {"covariance_type": structures[0], "random_state": seed, **settings}
    fit = _variational if solver in ("cavi", "svi") else _sampled
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the summary says whether it has converged
        mixture, weights, found = fit(table, solver, sizes, how)
    order = sorted(range(mixture.n_components), key=lambda k: -mixture.weights[k])
    mixture = mixture.reorder(order).with_feature_names(table.columns)
    method = POSTERIORS[solver] + found.pop("chains", "")
    common: dict[str, Any] = {
        "asked": sizes[-1],
        "data": Path(table.source).name,
        "left_out": table.left_out,
        "seed": seed,
    }
    return mixture, posterior_facts(method, mixture, table.rows, weights[:, order], **common, **found)


Found = tuple["Mixture", "Array", dict[str, Any]]
"""A point, intervals of its weights, and facts."""


def _variational(table: Table, solver: str, sizes: range, how: dict[str, Any]) -> Found:
    """The point without empty components."""
    from mixtura.estimators.bayesian import BayesianGaussianMixture

    fitted = BayesianGaussianMixture(sizes[-1], solver=solver, **how).fit(table.rows)
    posterior, stop = fitted.posterior_, fitted.stop_
    filled = posterior.effective_counts > 1
    found = {
        "bound": fitted.lower_bound_,
        "converged": stop.converged,
        "stopped": stop.sentence,
        "iterations": fitted.n_iter_ if solver == "cavi" else None,  # the sentence of the other one counts batches
    }
    return posterior.pruned(), weight_ends(posterior.interval())[:, filled], found


def _sampled(table: Table, solver: str, sizes: range, how: dict[str, Any]) -> Found:
    """The same of draws."""
    from mixtura.estimators.sampled import SampledGaussianMixture
    from mixtura.estimators.samplers import Gibbs, Nuts
    from mixtura.inference.telescoping import ComponentCountLaw

    n_components: Any = sizes[-1]
    if solver == "gibbs" and len(sizes) > 1:  # equally probable before the data are seen
        n_components = ComponentCountLaw([0.0 if k in sizes else -math.inf for k in range(1, sizes[-1] + 1)])
    sampler = Nuts(how.pop("target_accept")) if solver == "nuts" else Gibbs()
    how["n_init"] = max(4, how["n_init"])
    fitted = SampledGaussianMixture(n_components, sampler=sampler, **how).fit(table.rows)
    chains, draws = fitted.record_.chains, fitted.draws_
    found = {
        "chains": f", {draws.n_chains} chains of {draws.n_draws} draws",
        "verdict": chains.diagnostics.verdict,
        "table": chains.diagnostics.table(),
        "converged": chains.diagnostics.sound,
        "n_components": dict(enumerate(chains.n_components_posterior)),
    }
    if not chains.labels_are_straight:
        raise click.ClickException(
            f"the components of the draws cannot be told apart (labels fail in {chains.relabelling.failure_rate:.0%}), so there is no "
            f"model to keep. {chains.diagnostics.verdict} Try fewer components."
        )
    return chains.point, weight_ends(chains.relabelling.interval()), found


def weight_ends(interval: Interval) -> Array:
    """Lower and upper ends of the weights, ``(2, K)``."""
    import numpy as np

    return np.stack([end.weights for end in interval])


def largest_first(mixture: Mixture) -> Mixture:
    """The mixture with its components in the order of their weights."""
    return mixture.reorder(sorted(range(mixture.n_components), key=lambda k: -mixture.weights[k]))
