"""``python -m bench.priors``: draws from the weakly informative prior, and what priors make of the galaxies, drawn into docs/pictures."""

from __future__ import annotations

import numpy as np

from bench.examples import rows_of
from bench.report import PAGE

PICTURE = PAGE.parent / "pictures" / "priors.png"
N_PRIOR_DRAWS = 8
REACH = 50.0
SMALL_GROUP = 15.0
"""Velocity, in thousands of km/s, below which seven of the 82 galaxies lie."""


def main() -> None:
    """Draw densities from the prior, and predictive densities after the galaxies."""
    import matplotlib.pyplot as plt

    import mixtura as mx
    from mixtura.model.laws.log_densities import SemiConjugatePrior

    rows = rows_of("galaxies")
    places = np.linspace(rows.min() - 5, rows.max() + 5, 1000)[:, None]
    sampled = mx.SampledGaussianMixture(
        mx.ComponentCountLaw.beta_negative_binomial(), sampler="gibbs", random_state=0
    ).fit(rows)
    prior = SemiConjugatePrior(sampled.prior_, 1.0)
    rng = np.random.default_rng(1)
    figure, (before, after) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    around = np.linspace(rows.mean() - REACH, rows.mean() + REACH, 3000)[:, None]
    for _ in range(N_PRIOR_DRAWS):
        before.plot(around, prior.draw(3, sampled.prior_.structure, rng).pdf(around), linewidth=1.2)
    before.set(title="before: mixtures of three components, drawn from the prior", ylim=(0, 0.3), xlabel="1000 km/s")
    before.plot(rows[:, 0], np.full(len(rows), 0.003), "|", color="black", markersize=8)
    after.hist(rows[:, 0], bins=40, density=True, color="0.85")
    settings = {"random_state": 0, "max_iter": 1000}
    models = {
        "variational, about the data": mx.BayesianGaussianMixture(6, **settings),
        "variational, weakly informative": mx.BayesianGaussianMixture(6, prior="weakly-informative", **settings),
    }
    fitted = {name: model.fit(rows) for name, model in models.items()} | {"Gibbs sampling, open number": sampled}
    for name, model in fitted.items():
        density = np.exp(model.score_samples(places))
        below = float(np.trapezoid(density[places[:, 0] < SMALL_GROUP], places[places[:, 0] < SMALL_GROUP, 0]))
        print(f"{name}: {below:.3f} of the mass below {SMALL_GROUP:g}")
        after.plot(places, density, linewidth=1.6, label=name)
    after.set(title="after: predictive densities of the galaxies", xlabel="velocity, 1000 km/s")
    after.legend(frameon=False, fontsize="small")
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=110)
    print(f"Wrote {PICTURE.name}.")


if __name__ == "__main__":
    main()
