"""Settings of one algorithm as an object: frozen, compared by value, and a parameter of an estimator like any other."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

from mixtura.ground.errors import InvalidParameterError


@dataclass(frozen=True)
class Settings:
    """Base of a frozen dataclass whose fields scikit-learn's ``clone``, ``set_params`` and grid searches can reach.

    ``estimator.set_params(solver__moves=False)`` sets the field ``moves`` of the object in its parameter ``solver``.

    Examples
    --------
    >>> import mixtura as mx
    >>> mx.Cavi(moves=False).get_params()
    {'batch_size': None, 'moves': False}
    >>> gm = mx.BayesianGaussianMixture(2, solver=mx.Cavi()).set_params(solver__moves=False)
    >>> gm.solver
    Cavi(batch_size=None, moves=False)
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All settings by name.

        Parameters
        ----------
        deep : ignored
            There is nothing below.
        """
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def set_params(self, **params: Any) -> Self:
        """Change settings, all of them or, where one cannot be, none.

        Raises
        ------
        InvalidParameterError
            If there is no such setting, or it cannot have that value.
        """
        if unknown := sorted(params.keys() - self.get_params().keys()):
            raise InvalidParameterError(
                f"{type(self).__name__} has no setting {unknown[0]!r}; it has {', '.join(self.get_params())}."
            )
        vars(self).update(vars(replace(self, **params)))
        return self


def check_integer(value: Any, name: str, least: int) -> None:
    """Raise if a parameter is no integer, or too small."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
        kind = "a positive integer" if least == 1 else f"an integer of at least {least}"
        raise InvalidParameterError(f"{name} must be {kind}; got {value!r}.")
