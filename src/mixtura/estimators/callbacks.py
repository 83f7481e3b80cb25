"""scikit-learn's callback protocol, kept in one file because scikit-learn calls it experimental.

scikit-learn 1.9 brought ``sklearn.callback``; on older versions estimators simply take no callbacks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks

    FRAMES = 1
except ImportError:  # scikit-learn < 1.9
    FRAMES = 0

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in for the mixin that this version of scikit-learn lacks."""

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method as it is."""
        return method


# FRAMES: how many frames the decorator puts between a method and whoever calls it, for warnings that point there.
__all__ = ["FRAMES", "CallbackSupportMixin", "FitTasks", "with_callbacks"]


class FitTasks:
    """Reports a fit and its iterations to the estimator's callbacks.

    Parameters
    ----------
    estimator : estimator with ``CallbackSupportMixin``
    X : (N, D) array
        The rows as callbacks that score them should see them.
    max_iter : int
        Largest number of iterations.
    metadata : dict
        Fit metadata such as sample weights.
    """

    def __init__(self, estimator: Any, X: Any, max_iter: int, metadata: dict[str, Any]) -> None:
        self._estimator, self._X, self._metadata = estimator, X, metadata
        self._context: Any = None
        if hasattr(estimator, "_init_callback_context") and (
            hasattr(estimator, "_skl_callbacks") or hasattr(estimator, "_parent_callback_ctx")
        ):
            self._context = estimator._init_callback_context(max_subtasks=max_iter + 1)
            self._context.call_on_fit_task_begin(estimator=estimator, X=X, metadata=metadata or None)

    @property
    def watched(self) -> bool:
        """Whether any callback listens; if none does, nothing here costs anything."""
        return self._context is not None

    def iteration(self, attributes: dict[str, Any]) -> bool:
        """Report one iteration with the fitted attributes it would end with; true if a callback asks to stop."""
        task = self._context.subcontext(task_name="em-iteration")
        said = {
            "estimator": self._estimator,
            "X": self._X,
            "metadata": self._metadata or None,
            "reconstruction_attributes": attributes,
        }
        task.call_on_fit_task_begin(**said)
        return bool(task.call_on_fit_task_end(**said))

    def end(self) -> None:
        """Report the end of the fit."""
        if self._context is not None:
            self._context.call_on_fit_task_end(estimator=self._estimator, X=self._X, metadata=self._metadata or None)
