"""What an estimator says once chains have been drawn: their parts by name, who belongs together, and all of it for ArviZ."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from mixtura.assess.chains import Chains
from mixtura.assess.coclustering import coclustering
from mixtura.assess.partitions import Partition, estimate_partition
from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array
from mixtura.model.draws import evenly_spaced

MOST_COCLUSTERED = 2000
OF_CHAINS = {
    "draws_": "draws",
    "relabelling_": "relabelling",
    "diagnostics_": "diagnostics",
    "log_posterior_": "log_posterior",
    "log_likelihood_": "log_likelihood",
    "sample_stats_": "statistics",
    "n_components_posterior_": "n_components_posterior",
    "n_components_prior_": "n_components_prior",
}
"""Fitted attributes that sampling sets, and where they lie in ``chains_``."""


class SummarisesDraws:
    """Sets ``chains_`` when it has sampled; ``_rows`` checks rows that it is given."""

    chains_: Chains
    solver: str
    _rows: Any

    def __getattr__(self, name: str) -> Any:
        part = OF_CHAINS.get(name)
        if part is None or "chains_" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
        return getattr(self.chains_, part)

    def _check_drawn(self) -> None:
        """Raise if there are no draws to speak of."""
        check_is_fitted(self, "weights_")
        if "chains_" not in self.__dict__:
            raise InvalidParameterError(
                f"this is about draws, and solver={self.solver!r} left none; fit with solver='gibbs' or solver='nuts'."
            )

    def coclustering(self, X: ArrayLike) -> Array:
        """Posterior probability that two rows belong together.

        Parameters
        ----------
        X : (N, D) array-like

        Returns
        -------
        (n, n) array
            Of all rows, or of 2000 evenly spaced ones where there are more.
        """
        self._check_drawn()
        rows = self._rows(X)
        return coclustering(self.chains_.draws, rows[evenly_spaced(len(rows), MOST_COCLUSTERED)])

    def estimate_partition(self, X: ArrayLike, loss: str = "variation_of_information") -> Partition:
        """The one partition of the rows of ``coclustering`` that says best what all draws say together.

        Parameters
        ----------
        X : (N, D) array-like
        loss : {"variation_of_information", "binder"}, default="variation_of_information"
            What it costs to be wrong (Wade and Ghahramani 2018, "Bayesian cluster analysis"; Binder 1978).

        Returns
        -------
        Partition
            With ``labels``, ``n_clusters`` and the expected loss.
        """
        return estimate_partition(self.coclustering(X), loss)

    def to_arviz(self, X: ArrayLike, *, rows: ArrayLike | None = None, log_likelihood: bool = True) -> Any:
        """The draws as the installed ArviZ reads them, with posterior, sample_stats, log_likelihood and observed_data.

        That is an ``arviz.InferenceData`` where the package ``arviz`` is installed and before 1.0, and else an ``xarray.DataTree``.

        Parameters
        ----------
        X : (N, D) array-like
            The rows of the fit.
        rows : (M,) integer array-like, optional
            The log-likelihood is that of these rows; by default of all.
        log_likelihood : bool, default=True
            Whether there is such a group; it takes 8 bytes for each row and draw.

        Raises
        ------
        MissingExtraError
            Without ``arviz-base``, which the extra ``mcmc`` brings.
        """
        self._check_drawn()
        from mixtura.assess.arviz import for_installed, to_arviz

        names = getattr(self, "feature_names_in_", None)
        tree = to_arviz(
            self.chains_.draws,
            self._rows(X),
            self.chains_.statistics,
            rows=rows,
            log_likelihood=log_likelihood,
            feature_names=None if names is None else list(names),
        )
        return for_installed(tree)

    def loo(self, X: ArrayLike, *, rows: ArrayLike | None = None) -> Any:
        """Expected log predictive density of rows left out one by one (PSIS-LOO), by ArviZ.

        Parameters
        ----------
        X : (N, D) array-like
            The rows of the fit.
        rows : (M,) integer array-like, optional
            Leave out these alone.
        """
        self._check_drawn()
        from mixtura.assess.arviz import loo

        return loo(self.chains_.draws, self._rows(X), rows)
