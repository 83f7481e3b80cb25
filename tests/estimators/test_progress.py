import math
import re
import time

import numpy as np
import pytest

import mixtura as mx
from mixtura.estimators import progress
from mixtura.inference.climb.loop import Climbing


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


def test_a_line_says_how_far_climbs_have_come(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    clock = iter(range(100))
    monkeypatch.setattr(time, "monotonic", lambda: 2.0 * next(clock))
    for terminal, ends in ((True, "\r"), (False, "\n")):
        monkeypatch.setattr("sys.stderr.isatty", lambda terminal=terminal: terminal)
        with progress.climb_line("Fitting", 3_000_000, 1e6) as say:
            say(Climbing(0, 10, 1, None, math.inf))
            say(Climbing(3, 10, 2, None, 20.0))
            said = capsys.readouterr().err.split(ends)
            say(Climbing(0, 1, 1, -3.5e6, 100.0))  # another climb begins
            say(Climbing(0, 1, 2, -3.25e6, 4000.0))
        assert any(
            re.fullmatch(r"Fitting: pass 1, 0 of 10 climbs ended, 1.* million rows a second *", line) for line in said
        )
        assert any(
            re.fullmatch(r"Fitting: pass 2, 3 of 10 climbs ended, 1.* million rows a second, about .. s left *", line)
            for line in said
        )
        last = capsys.readouterr().err
        assert f"pass 1, {progress.MINUS}3.5 a row" in last
        assert (
            re.search(rf"pass 2, {progress.MINUS}3\.25 a row, 1.* million rows a second, about 1\d\d min left", last)
            is None
        )
        assert re.search(rf"pass 2, {progress.MINUS}3\.25 a row, 1.* million rows a second, about [\d.]+ h left", last)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "0 s"), (99, "99 s"), (100, "2 min"), (5990, "100 min"), (6010, "1.7 h"), (1e5, "27.8 h")],
)
def test_times_are_said_as_people_say_them(seconds, said):
    assert progress.in_words(seconds) == said


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_verbose_fits_say_how_long_they_take(capsys):
    X = np.random.default_rng(0).normal(size=(5000, 2))
    mx.GaussianMixture(4, random_state=0, verbose=1, verbose_interval=1, max_iter=6, tol=1e-9, solver="em").fit(X)
    lines = capsys.readouterr().out.splitlines()
    assert re.search(
        r"iteration 5: lower bound -\d.*, [\d.,]+( million| billion)? rows a second(, about \d+ s left)?$", lines[4]
    )
