"""Covariance structures and the registry in which a name becomes an object, once, at the door."""

from mixtura.ground.errors import InvalidParameterError
from mixtura.model.covariance.diagonal import Diagonal, TiedDiagonal
from mixtura.model.covariance.matrix import Full, Tied
from mixtura.model.covariance.spherical import Spherical, TiedSpherical
from mixtura.model.covariance.structure import CovarianceStructure, InverseWishartPenalty

__all__ = ["COVARIANCE_TYPES", "STRUCTURES", "CovarianceStructure", "InverseWishartPenalty", "covariance_structure"]

STRUCTURES: tuple[CovarianceStructure, ...] = (
    Full(),
    Tied(),
    Diagonal(),
    TiedDiagonal(),
    Spherical(),
    TiedSpherical(),
)

_BY_NAME = {key: structure for structure in STRUCTURES for key in (structure.name, structure.code)}


ONE_COLUMN = {"V": _BY_NAME["VII"], "E": _BY_NAME["EII"]}
"""mclust's names where there is only volume, which varies among the components or is equal."""

COVARIANCE_TYPES = frozenset({*_BY_NAME, *ONE_COLUMN})
"""All names."""


def covariance_structure(name: str | CovarianceStructure, n_features: int | None = None) -> CovarianceStructure:
    """The structure of that name (``"full"``) or volume–shape–orientation code (``"VVV"``; for one column ``"V"``), or itself.

    Parameters
    ----------
    name : str or CovarianceStructure
    n_features : int, optional
        Of the data, where they are known.

    Examples
    --------
    >>> from mixtura.model.covariance import covariance_structure
    >>> covariance_structure("EEI").name, covariance_structure("E", 1).name
    ('tied_diag', 'tied_spherical')
    """
    if isinstance(name, CovarianceStructure):
        return name
    if isinstance(name, str) and name in _BY_NAME:
        return _BY_NAME[name]
    if isinstance(name, str) and name in ONE_COLUMN:
        if n_features == 1:
            return ONE_COLUMN[name]
        alike = ", ".join(s.code for s in STRUCTURES if s.code.startswith(name))
        columns = "" if n_features is None else f", and these have {n_features}"
        raise InvalidParameterError(f"covariance_type={name!r} is for data of one column{columns}; use {alike}.")
    known = ", ".join(f"{s.name} ({s.code})" for s in STRUCTURES)
    raise InvalidParameterError(f"covariance_type must be one of {known}; got {name!r}.")
