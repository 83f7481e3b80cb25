"""Covariance structures and the registry in which a name becomes an object, once, at the door."""

from mixtura.ground.errors import InvalidParameterError
from mixtura.model.covariance.diagonal import Diagonal, TiedDiagonal
from mixtura.model.covariance.matrix import Full, Tied
from mixtura.model.covariance.spherical import Spherical, TiedSpherical
from mixtura.model.covariance.structure import CovarianceStructure, InverseWishartPenalty

__all__ = ["STRUCTURES", "CovarianceStructure", "InverseWishartPenalty", "covariance_structure"]

STRUCTURES: tuple[CovarianceStructure, ...] = (
    Full(),
    Tied(),
    Diagonal(),
    TiedDiagonal(),
    Spherical(),
    TiedSpherical(),
)

_BY_NAME = {key: structure for structure in STRUCTURES for key in (structure.name, structure.code)}


def covariance_structure(name: str) -> CovarianceStructure:
    """The structure of that name (``"full"``) or volume–shape–orientation code (``"VVV"``)."""
    if isinstance(name, str) and name in _BY_NAME:
        return _BY_NAME[name]
    known = ", ".join(f"{s.name} ({s.code})" for s in STRUCTURES)
    raise InvalidParameterError(f"covariance_type must be one of {known}; got {name!r}.")
