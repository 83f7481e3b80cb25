"""What ``mixtura fit`` does where a posterior is asked for instead of the likeliest mixture."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from mixtura.cli.given import Given
    from mixtura.model.mixture import Mixture

POSTERIORS = {
    "cavi": "variational Bayes by coordinate ascent",
    "svi": "variational Bayes by stochastic steps",
    "gibbs": "Gibbs sampling",
    "nuts": "the No-U-Turn sampler",
}
"""Solvers that find a posterior."""


class Answer(NamedTuple):
    """The point that stands for a posterior, what is to be remembered of the fit, and what is in the file of its draws."""

    mixture: Mixture
    facts: dict[str, Any]
    draws: bytes | None = None


def fit_posterior(
    rows: Given,
    solver: str,
    sizes: range,
    structures: list[str],
    settings: dict[str, Any],
    draws_out: Path | None,
    resume: bool,
) -> Answer:
    """Find a posterior; components in the order of their weights, without the empty ones.

    Parameters
    ----------
    rows : Given
    solver : str
        One of ``POSTERIORS``.
    sizes : range
    structures : list of str
        One.
    settings : dict
        Of the estimator.
    draws_out : Path or None
        The file that draws will be written to.
    resume : bool
        Whether the fit goes on from its checkpoint.
    """
    if len(structures) > 1:
        raise click.ClickException(
            f"--solver {solver} fits one covariance structure; got {', '.join(structures)}. Name one with --covariance."
        )
    common = {"data": rows.name, "left_out": rows.left_out, "seed": settings["random_state"]}
    settings = {"covariance_type": structures[0], **settings}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the summary says whether it has converged
        if solver in ("cavi", "svi"):
            return _variational(rows, solver, sizes[-1], settings, common, resume)
        return _sampled(rows, solver, sizes, settings, common, draws_out)


def _variational(
    rows: Given, solver: str, n_components: int, settings: dict[str, Any], common: dict[str, Any], resume: bool
) -> Answer:
    """Of a variational posterior."""
    import numpy as np

    from mixtura.assess.describe import posterior_facts
    from mixtura.estimators.bayesian import BayesianGaussianMixture

    estimator = BayesianGaussianMixture(n_components, solver=solver, **settings)
    fitted = (estimator.resume if resume else estimator.fit)(rows.source)
    posterior, stop = fitted.posterior_, fitted.stop_
    ends = np.stack([end.weights for end in posterior.interval()])[:, posterior.effective_counts > 1]
    mixture, order = _in_order(posterior.pruned(), rows.columns)
    facts = posterior_facts(
        POSTERIORS[solver],
        mixture,
        rows.source,
        ends[:, order],
        asked=n_components,
        bound=fitted.lower_bound_,
        converged=stop.converged,
        stopped=stop.sentence,
        iterations=fitted.n_iter_ if solver == "cavi" else None,  # the sentence of the other one counts batches
        **common,
    )
    return Answer(mixture, facts)


def _sampled(
    rows: Given,
    solver: str,
    sizes: range,
    settings: dict[str, Any],
    common: dict[str, Any],
    draws_out: Path | None,
) -> Answer:
    """Of draws; where single components cannot be told apart, the point is the mixture of the partition of least expected loss."""
    from mixtura.assess.choice.criteria import criteria
    from mixtura.assess.draws.draws_summary import draws_facts
    from mixtura.estimators.sampled import SampledGaussianMixture
    from mixtura.estimators.samplers import Gibbs, Nuts
    from mixtura.inference.sampling.finite_mixtures import ComponentCountLaw

    n_components: Any = sizes[-1]
    if solver == "gibbs" and len(sizes) > 1:  # equally probable before the data are seen
        n_components = ComponentCountLaw([0.0 if k in sizes else -math.inf for k in range(1, sizes[-1] + 1)])
    sampler = Nuts(settings.pop("target_accept")) if solver == "nuts" else Gibbs()
    fitted = SampledGaussianMixture(n_components, sampler=sampler, **settings).fit(rows.source)
    mixture, order = _in_order(fitted.mixture_, rows.columns)
    facts = {
        **common,
        "rows": rows.source.n_rows,
        "log_likelihood": criteria(mixture, rows.source).log_likelihood,
        "converged": fitted.converged_,
        "draws": {"method": POSTERIORS[solver], **draws_facts(fitted.record_.chains, order=order)},
    }
    content = None if draws_out is None else fitted.draws_content(draws_out.suffix, rows.source, rows.columns)
    return Answer(mixture, facts, content)


def _in_order(mixture: Mixture, columns: Sequence[str]) -> tuple[Mixture, list[int]]:
    """The mixture with named columns and its components in the order of their weights, and which those were."""
    order = by_weight(mixture)
    return mixture.reorder(order).with_feature_names(columns), order


def by_weight(mixture: Mixture) -> list[int]:
    """The components in the order of their weights, the largest first."""
    return sorted(range(mixture.n_components), key=lambda k: -mixture.weights[k])


def largest_first(mixture: Mixture) -> Mixture:
    """The mixture with its components in that order."""
    return mixture.reorder(by_weight(mixture))
