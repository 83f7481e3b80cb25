"""scikit-learn's callback protocol (1.9 and later)."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

import mixtura as mx

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9 has no callbacks")


class Watcher:
    """Notes what the protocol tells it, and can ask to stop."""

    def __init__(self, stop_after=None):
        self.stop_after, self.scores, self.events = stop_after, [], []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context, **kwargs):
        pass

    def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None, **kwargs):
        if context.task_name != "em-iteration":
            return False
        self.scores.append(fitted_estimator.score(X))
        return len(self.scores) == self.stop_after


def test_a_callback_sees_each_iteration_with_a_usable_estimator(iris):
    watcher = Watcher()
    gm = mx.GaussianMixture(3, init_params="random_from_data", random_state=0).set_callbacks(watcher).fit(iris)
    assert watcher.events == ["setup", "teardown"]
    np.testing.assert_allclose(watcher.scores, gm.lower_bounds_, rtol=1e-12)


def test_a_callback_that_returns_true_stops_the_fit(iris):
    watcher = Watcher(stop_after=3)
    gm = mx.GaussianMixture(3, init_params="random_from_data", random_state=0, tol=0).set_callbacks(watcher)
    with pytest.warns(match="stopped by a callback"):
        gm.fit(iris)
    assert gm.n_iter_ == 3
    assert gm.stop_.reason == "callback"


def test_scikit_learns_own_callbacks(iris, capsys):
    gm = mx.GaussianMixture(2, random_state=0).set_callbacks(callback.ProgressBar())
    gm.fit(iris)
    monitor = callback.ScoringMonitor(scoring=None)
    mx.GaussianMixture(2, init_params="random_from_data", random_state=0).set_callbacks(monitor).fit(iris)
    assert len(monitor.get_logs(select="most_recent").data) >= 2
    grid = GridSearchCV(mx.GaussianMixture(random_state=0), {"n_components": [1, 2]}, cv=2)
    grid.set_callbacks(callback.ProgressBar()).fit(iris)
