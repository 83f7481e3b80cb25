"""The weak conjugate prior in the units of the data, under which no component collapses."""

from __future__ import annotations

import numpy as np

from mixtura.data.source import Source
from mixtura.ground.linalg import Array, raise_correlations
from mixtura.inference.starts.floor import default_floor
from mixtura.inference.starts.sample import SeedingSample
from mixtura.inference.starts.seedings import single_gaussian
from mixtura.model.covariance import CovarianceStructure
from mixtura.model.laws.conjugate import NormalInverseWishart
from mixtura.sweep import moments_of_all

CORRELATION = 1e-5
"""Smallest eigenvalue of the correlations of the prior's scale: it keeps components that lie in a subspace clear of rounding."""


def empirical_prior(
    source: Source,
    sample: SeedingSample,
    structure: CovarianceStructure,
    n_components: int,
    floor: Array | float,
) -> NormalInverseWishart:
    """The prior of Fraley and Raftery (2007), about the data's mean and covariance.

    Parameters
    ----------
    source : Source
    sample : SeedingSample
    structure : CovarianceStructure
        Whose single covariance the prior's scale is.
    n_components : int
    floor : float or (D,) array
        Under that covariance; with none, the default one: a prior's own scale is not singular.
    """
    moments = moments_of_all(source, diagonal=structure.diagonal)
    covariance = moments.scatter()[0] / moments.count[0]
    if not np.any(floor):
        floor = default_floor(sample, source.facts.magnitude, float(np.finfo(source.dtype).eps)).variances
    scale = single_gaussian(covariance, moments.means(), structure, floor)
    scale = np.diag(scale) if structure.diagonal else raise_correlations(scale[None], CORRELATION)[0]
    return NormalInverseWishart.from_data_moments(moments.means()[0], scale, n_components)
