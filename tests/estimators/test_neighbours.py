"""Fits leave the process as they found it, and each other alone: in threads, in workers, after errors, interruptions and forks."""

import os
import subprocess
import sys
from contextlib import suppress
from threading import Event, Thread

import numpy as np
import pytest

import neighbours
from mixtura.ground.threads import n_threads, single_threaded_blas

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_eight_threads(seed):
    assert neighbours.in_threads(8, 2, seed) == 2 * len(neighbours.MODELS)


def run_alone(code, *arguments):
    """Run code in a process of its own, which may fork: one that runs tests has threads of its own."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, "-c", code, *arguments], env=environment, check=True, timeout=300)


@pytest.mark.parametrize("kind", [kind for kind in neighbours.WORKERS if hasattr(os, "fork") or kind != "fork"])
def test_workers(kind):
    run_alone("import sys, neighbours; neighbours.in_workers(sys.argv[1], 1)", kind)


@pytest.mark.parametrize("name", neighbours.WHOLE)
def test_interruptions(name, seed):
    neighbours.interrupted_by_calls(name, 20, seed)


ANSWERS = ("predict_proba", "score_samples", "score", "bic", "icl", "certificate", "standard_errors", "coclustering")


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("state", ["raise", "warn"])
@pytest.mark.parametrize("name", neighbours.MODELS)
def test_whatever_users_have_numpy_do(name, state):
    """Exponentials that underflow are what shares of far components are."""
    plain = neighbours.answer(name)
    with np.errstate(all=state):
        model = neighbours.fitted(name)
        assert neighbours.bits(model) == plain
        model = getattr(model, "best_estimator_", model)
        rows = neighbours.rows_of(name)
        far = np.concatenate([rows, np.full((1, rows.shape[1]), 1e9)])
        for asked in (rows, far):
            for method in ANSWERS:
                if hasattr(model, method):
                    with suppress(ValueError):  # some have no answer to give, and say why
                        getattr(model, method)(asked)


def test_errors():
    neighbours.answer("em")
    with neighbours.undisturbed():
        neighbours.fail()


def test_blas_is_free_again_whoever_lets_go_last():
    """The first to hold it is gone before the second: saved and restored without counting, BLAS would stay at one."""
    free, ready, go_on = n_threads(), Event(), Event()

    def second():
        with single_threaded_blas():
            ready.set()
            go_on.wait()

    with neighbours.undisturbed():
        thread = Thread(target=second)
        with single_threaded_blas():
            thread.start()
            ready.wait()
            assert set(neighbours.surroundings().blas) == {1}
        assert set(neighbours.surroundings().blas) == {1}
        assert n_threads() == free  # what a pass may use is not what is left while others hold BLAS
        go_on.set()
        thread.join()


FORKED = """
import os, sys, warnings
warnings.simplefilter("ignore")
import neighbours
from threading import Event, Thread
from mixtura.ground.threads import single_threaded_blas
alone, free = neighbours.answer("em"), neighbours.surroundings().blas
held, done = Event(), Event()
def hold():
    with single_threaded_blas():
        held.set()
        done.wait()
thread = Thread(target=hold)
if sys.argv[1] == "other":
    thread.start()
    held.wait()
    child = os.fork()
else:
    with single_threaded_blas():
        child = os.fork()
        assert set(neighbours.surroundings().blas) == {1}
if not child:
    same = neighbours.surroundings().blas == free and neighbours.answer("em") == alone
    os._exit(not same)
done.set()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks on this system")
@pytest.mark.parametrize("who", ["other", "itself"])
def test_forks_while_blas_is_held(who):
    run_alone(FORKED, who)
