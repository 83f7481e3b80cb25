import time

import numpy as np

import mixtura as mx
from mixtura.estimators import progress


def test_nothing_is_shown_within_a_second(capsys, faithful):
    mx.GaussianMixtureSearch([1], n_init=1, verbose=1).fit(faithful)
    assert capsys.readouterr() == ("", "")


def test_whoever_waits_sees_a_bar(capsys, monkeypatch, faithful):
    monkeypatch.setattr(progress, "PATIENCE", -1.0)
    found = mx.GaussianMixtureSearch([1, 2], n_init=1, verbose=1, random_state=0).fit(faithful)
    out, err = capsys.readouterr()
    assert out == ""
    assert "Fitting" in err
    quiet = mx.GaussianMixtureSearch([1, 2], n_init=1, random_state=0).fit(faithful)
    np.testing.assert_array_equal(found.results_["bic"], quiet.results_["bic"])


def test_the_bar_ends_where_the_work_ends(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", -1.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress.progress_bar("Working") as advance:
        for done in (0, 3, 3, 10):
            advance(done, 10)
    assert "100%" in capsys.readouterr().err


def test_on_a_terminal_whoever_waits_is_told_for_what(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress.waiting("Reading"):
        for _ in range(1000):
            if "Reading ..." in (said := capsys.readouterr().err):
                break
            time.sleep(0.01)
    assert said == "\rReading ..."
    assert capsys.readouterr().err == "\r           \r"


def test_nobody_is_told_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    with progress.waiting("Reading"):
        time.sleep(0.1)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("sys.stderr", None)
    with progress.waiting("Reading"):
        pass
