"""The replay is the climb, and the file is a GIF, whole or not at all."""

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")

from PIL import Image  # noqa: E402

import mixtura as mx  # noqa: E402
from mixtura.plot.animation import replay  # noqa: E402


def fit(n_features, **settings):
    truth = mx.Mixture([0.4, 0.6], np.array([[0.0] * n_features, [2.5] * n_features]), 1.0, "EII")
    X, _ = truth.sample(120, random_state=0)
    return mx.GaussianMixture(2, random_state=0, **settings).fit(X), X


@pytest.mark.parametrize(
    "settings",
    [{}, {"covariance_type": "diag", "n_init": 3}, {"covariance_prior": "empirical"}, {"assignment": "hard"}],
    ids=str,
)
def test_the_replay_is_the_climb_that_was_reported(settings):
    gm, X = fit(2, **settings)
    run = gm.restarts_.best
    mixtures, bounds = replay(gm, X)
    assert len(mixtures) == len(bounds) == len(run.bounds)
    assert bounds == pytest.approx(run.bounds, rel=1e-10)
    assert mixtures[0] == run.start
    assert mixtures[-1].means == pytest.approx(run.mixture.means, rel=1e-7)


def test_the_replay_uses_sample_weights():
    _, X = fit(1)
    weights = np.random.default_rng(0).integers(0, 4, len(X)).astype(float)
    gm = mx.GaussianMixture(2, random_state=0).fit(X, sample_weight=weights)
    _, bounds = replay(gm, X, weights)
    assert bounds == pytest.approx(gm.restarts_.best.bounds, rel=1e-10)
    with pytest.raises(mx.DataError, match="not the rows of the fit"):
        replay(gm, X)


@pytest.mark.parametrize(("n_features", "features"), [(1, None), (2, None), (3, (0, 2)), (3, (1,))])
def test_a_gif_has_the_frames_and_stays_on_the_last(tmp_path, n_features, features):
    gm, X = fit(n_features)
    path = mx.plot.animate(gm, X, tmp_path / "climb.gif", features=features, max_frames=4, fps=5, dpi=50)
    assert path == tmp_path / "climb.gif"
    assert [p.name for p in tmp_path.iterdir()] == ["climb.gif"]
    with Image.open(path) as image:
        assert image.format == "GIF"
        assert image.size == (320, 300)
        assert 2 <= image.n_frames <= 4
        assert image.info["duration"] == 200
        image.seek(image.n_frames - 1)
        assert image.info["duration"] == 2000


def test_it_also_works_where_matplotlibs_own_writer_does_not(tmp_path):
    gm, X = fit(1)
    with matplotlib.rc_context({"savefig.bbox": "tight"}):
        assert mx.plot.animate(gm, X, tmp_path / "climb.gif", max_frames=2, dpi=40).stat().st_size > 500


def test_an_old_file_survives_a_failure(tmp_path, monkeypatch):
    gm, X = fit(1)
    path = tmp_path / "climb.gif"
    path.write_bytes(b"old")

    def full_disk(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(OSError, match="no space"):
        mx.plot.animate(gm, X, path, max_frames=2, dpi=40)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_errors_come_before_work(tmp_path):
    gm, X = fit(3)
    target = tmp_path / "climb.gif"
    with pytest.raises(mx.InvalidParameterError, match=r"\.gif"):
        mx.plot.animate(gm, X, tmp_path / "climb.mp4")
    with pytest.raises(mx.InvalidParameterError, match=r"features=\(0, 1\)"):
        mx.plot.animate(gm, X, target)
    with pytest.raises(mx.InvalidParameterError, match="max_frames"):
        mx.plot.animate(gm, X, target, features=[0], max_frames=1)
    with pytest.raises(mx.InvalidParameterError, match="fps"):
        mx.plot.animate(gm, X, target, features=[0], fps=0)
    with pytest.raises(mx.InvalidParameterError, match="fit"):
        mx.plot.animate(mx.GaussianMixture(2), X, target)
    with pytest.raises(mx.DataError, match="not the rows of the fit"):
        mx.plot.animate(gm, X + 1, target, features=[0])
    assert not list(tmp_path.iterdir())
