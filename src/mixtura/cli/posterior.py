"""What ``mixtura fit`` does where a posterior is asked for instead of the likeliest mixture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mixtura.cli.tables import Table
    from mixtura.model.mixture import Mixture

POSTERIORS = {
    "cavi": "variational Bayes by coordinate ascent",
    "svi": "variational Bayes by stochastic steps",
}
"""Solvers that find a posterior."""


def fit_posterior(
    table: Table, solver: str, n_components: int, structures: list[str], seed: int, settings: dict[str, Any]
) -> tuple[Mixture, dict[str, Any]]:
    """The point that stands for the posterior, without its empty components, and what is to be remembered of the fit."""
    from mixtura.assess.describe import posterior_facts
    from mixtura.estimators.bayesian import BayesianGaussianMixture

    if len(structures) > 1:
        raise click.ClickException(
            f"--solver {solver} fits one covariance structure; got {', '.join(structures)}. Name one with --covariance."
        )
    fitted = BayesianGaussianMixture(
        n_components, covariance_type=structures[0], solver=solver, random_state=seed, **settings
    ).fit(table.rows)
    posterior = fitted.posterior_
    filled = [k for k, count in enumerate(posterior.effective_counts) if count > 1]
    order = sorted(filled, key=lambda k: -posterior.effective_counts[k])
    mixture = largest_first(posterior.pruned()).with_feature_names(table.columns)
    facts = posterior_facts(
        POSTERIORS[solver],
        mixture,
        table.rows,
        posterior.intervals().weights[:, order],
        asked=n_components,
        bound=fitted.lower_bound_,
        data=Path(table.source).name,
        left_out=table.left_out,
        seed=seed,
        iterations=fitted.n_iter_ if solver == "cavi" else None,
        converged=fitted.converged_,
        stopped=fitted.restarts_.best.stop.sentence,
    )
    return mixture, facts


def largest_first(mixture: Mixture) -> Mixture:
    """The mixture with its components in the order of their weights."""
    return mixture.reorder(sorted(range(mixture.n_components), key=lambda k: -mixture.weights[k]))
