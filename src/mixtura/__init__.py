"""Gaussian mixture models: fit them, choose among them, look at them, keep them.

The package is a table of names. Each is imported when it is first asked for, so ``import mixtura`` costs almost nothing.

Examples
--------
>>> import mixtura as mx
>>> pair = mx.Mixture([0.5, 0.5], [[0.0], [5.0]], [1.0, 2.0], "spherical")
>>> pair
Mixture(n_components=2, n_features=1, covariance_type='spherical')
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixtura import plot
    from mixtura.assess.draws.draws_file import load_draws
    from mixtura.assess.versions import show_versions
    from mixtura.data.scanning import on_dask, scan
    from mixtura.estimators.bayesian import BayesianGaussianMixture
    from mixtura.estimators.gaussian_mixture import GaussianMixture
    from mixtura.estimators.sampled import SampledGaussianMixture
    from mixtura.estimators.samplers import Gibbs, Nuts
    from mixtura.estimators.search import GaussianMixtureSearch
    from mixtura.ground.errors import (
        ClusterError,
        CollapseError,
        CollapseWarning,
        DataError,
        InvalidParameterError,
        MissingExtraError,
        MixturaError,
        ModelFileError,
    )
    from mixtura.inference.sampling.finite_mixtures import ComponentCountLaw
    from mixtura.inference.starts.variational_solvers import Cavi, Svi
    from mixtura.model.laws.conjugate import NormalInverseWishart
    from mixtura.model.laws.independent import IndependentPrior
    from mixtura.model.laws.scale_laws import HalfCauchy, HalfNormal, LogNormal
    from mixtura.model.laws.semi_conjugate import SemiConjugateComponents
    from mixtura.model.mixture import Mixture
    from mixtura.model.moments import Moments
    from mixtura.sweep.expected import expected_moments

    __version__: str

__all__ = [
    "BayesianGaussianMixture",
    "Cavi",
    "ClusterError",
    "CollapseError",
    "CollapseWarning",
    "ComponentCountLaw",
    "DataError",
    "GaussianMixture",
    "GaussianMixtureSearch",
    "Gibbs",
    "HalfCauchy",
    "HalfNormal",
    "IndependentPrior",
    "InvalidParameterError",
    "LogNormal",
    "MissingExtraError",
    "MixturaError",
    "Mixture",
    "ModelFileError",
    "Moments",
    "NormalInverseWishart",
    "Nuts",
    "SampledGaussianMixture",
    "SemiConjugateComponents",
    "Svi",
    "UnknownEvidenceError",
    "__version__",
    "expected_moments",
    "load_draws",
    "on_dask",
    "plot",
    "scan",
    "show_versions",
]

_HOME = {
    "BayesianGaussianMixture": "mixtura.estimators.bayesian",
    "GaussianMixture": "mixtura.estimators.gaussian_mixture",
    "GaussianMixtureSearch": "mixtura.estimators.search",
    "SampledGaussianMixture": "mixtura.estimators.sampled",
    "Cavi": "mixtura.inference.starts.variational_solvers",
    "Gibbs": "mixtura.estimators.samplers",
    "Nuts": "mixtura.estimators.samplers",
    "Svi": "mixtura.inference.starts.variational_solvers",
    "Mixture": "mixtura.model.mixture",
    "on_dask": "mixtura.data.scanning",
    "scan": "mixtura.data.scanning",
    "expected_moments": "mixtura.sweep.expected",
    "Moments": "mixtura.model.moments",
    "load_draws": "mixtura.assess.draws.draws_file",
    "show_versions": "mixtura.assess.versions",
    "NormalInverseWishart": "mixtura.model.laws.conjugate",
    "ComponentCountLaw": "mixtura.inference.sampling.finite_mixtures",
    "HalfCauchy": "mixtura.model.laws.scale_laws",
    "HalfNormal": "mixtura.model.laws.scale_laws",
    "IndependentPrior": "mixtura.model.laws.independent",
    "LogNormal": "mixtura.model.laws.scale_laws",
    "SemiConjugateComponents": "mixtura.model.laws.semi_conjugate",
    "MixturaError": "mixtura.ground.errors",
    "InvalidParameterError": "mixtura.ground.errors",
    "DataError": "mixtura.ground.errors",
    "ClusterError": "mixtura.ground.errors",
    "CollapseError": "mixtura.ground.errors",
    "ModelFileError": "mixtura.ground.errors",
    "UnknownEvidenceError": "mixtura.ground.errors",
    "MissingExtraError": "mixtura.ground.errors",
    "CollapseWarning": "mixtura.ground.errors",
}


def __getattr__(name: str) -> Any:
    value: Any
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    elif name == "plot":
        value = import_module("mixtura.plot")
    elif name == "__version__":
        value = import_module("importlib.metadata").version("mixtura")
    else:
        raise AttributeError(f"module 'mixtura' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
