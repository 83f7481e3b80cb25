"""Fits beside others in one process: each gives the bits that it gives alone, and leaves what is not its own as it was.

``python -m bench.neighbours`` makes many rounds; the suite has a short form.
"""

import hashlib
import multiprocessing
import random
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import joblib
import numpy as np
from threadpoolctl import ThreadpoolController

import mixtura as mx

SMALL = np.loadtxt(Path(__file__).parent.parent / "examples" / "faithful.csv", delimiter=",", skiprows=1)[:120]
LARGE = np.random.default_rng(0).normal(size=(20_000, 6)) + np.repeat([[0.0], [4.0]], 10_000, axis=0)
"""A pass over these uses threads."""

CHAINS = {"n_draws": 20, "n_tune": 20, "n_chains": 2, "random_state": 0}

MODELS: dict[str, Callable[[], Any]] = {
    "em": lambda: mx.GaussianMixture(3, n_init=2, random_state=0),
    "large": lambda: mx.GaussianMixture(2, random_state=0),
    "lbfgs": lambda: mx.GaussianMixture(2, solver="lbfgs", random_state=0),
    "newton": lambda: mx.GaussianMixture(2, solver="newton", random_state=0),
    "stream": lambda: mx.GaussianMixture(2, solver="gradient", random_state=0),
    "truncated": lambda: mx.GaussianMixture(4, max_responsibilities=2, random_state=0),
    "search": lambda: mx.GaussianMixtureSearch([1, 2, 3], random_state=0),
    "cavi": lambda: mx.BayesianGaussianMixture(3, random_state=0),
    "svi": lambda: mx.BayesianGaussianMixture(3, solver="svi", random_state=0),
    "gibbs": lambda: mx.SampledGaussianMixture(2, sampler="gibbs", **CHAINS),
    "nuts": lambda: mx.SampledGaussianMixture(2, **CHAINS),
}
"""One of each kind, small and quick; the chains are too short to be trusted, and warn."""

WHOLE = ("em", "large", "lbfgs", "newton", "truncated", "search", "cavi", "svi")
"""Those that an interruption leaves as they were: chains keep what they have drawn, and a stream what it has learnt."""


def rows_of(name: str) -> np.ndarray:
    """What a model is fitted to."""
    return LARGE if name == "large" else SMALL


def fitted(name: str) -> Any:
    """A model of that kind, fitted now."""
    model, rows = MODELS[name](), rows_of(name)
    if name != "stream":
        return model.fit(rows)
    for batch in np.array_split(rows, 4):
        model.partial_fit(batch)
    return model


def bits(model: Any) -> str:
    """A digest of all that a fit says, to the last bit."""
    model = getattr(model, "best_estimator_", model)
    rows = SMALL if model.n_features_in_ == SMALL.shape[1] else LARGE[:9]
    parts = [model.weights_, model.means_, model.covariances_, model.predict_proba(rows)]
    if draws := vars(model).get("draws_"):
        parts += [draws.weights, draws.means, draws.covariances]
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


def answer(name: str) -> str:
    """The bits of a fit made now, in whatever thread or process this is called."""
    return bits(fitted(name))


def fail() -> None:
    """A fit that gets far and ends in an error: without a floor, components collapse on rows that repeat."""
    rows = np.repeat([[0.0, 1.0], [5.0, 2.0]], 9, axis=0)
    try:
        mx.GaussianMixture(2, reg_covar=0, random_state=0).fit(rows)
    except mx.CollapseError:
        return
    raise AssertionError("rows that repeat did not collapse")


class Surroundings(NamedTuple):
    """What a process shares among all that runs in it."""

    blas: list[int]
    filters: list[Any]
    errors: dict[str, str]
    generators: str
    handlers: list[Any]


def surroundings() -> Surroundings:
    """As they are now."""
    generators = repr((np.random.get_state(legacy=False), random.getstate()))
    return Surroundings(
        [library.num_threads for library in ThreadpoolController().select(user_api="blas").lib_controllers],
        list(warnings.filters),
        dict(np.geterr()),
        hashlib.sha256(generators.encode()).hexdigest(),
        [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)],
    )


@contextmanager
def undisturbed(but: tuple[str, ...] = ()) -> Iterator[None]:
    """Whatever happens meanwhile leaves nothing changed, but perhaps for some."""
    before = surroundings()
    yield
    for name, was, now in zip(Surroundings._fields, before, surroundings(), strict=True):
        assert name in but or was == now, f"{name}: {was} before, {now} after"


def in_threads(n_threads: int, n_rounds: int, seed: int) -> int:
    """Fits of all kinds at once in a random order, every fifth beside one that fails; each has its own bits. Returns how many."""
    alone = {name: answer(name) for name in MODELS}
    names = [*MODELS] * n_rounds
    np.random.default_rng(seed).shuffle(names)

    def one(i: int) -> None:
        if i % 5 == 0:
            fail()
        assert answer(names[i]) == alone[names[i]], f"{names[i]} differs beside others"

    with undisturbed(), ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(one, range(len(names))))
    return len(names)


WORKERS = ("threading", "loky", "fork", "spawn")


def in_workers(kind: str, n_rounds: int) -> int:
    """The same in two workers: joblib's threads or processes, or processes of the standard library. Returns how many."""
    names = [*MODELS] * n_rounds
    alone = {name: answer(name) for name in MODELS}
    with undisturbed():
        if kind in ("fork", "spawn"):
            with multiprocessing.get_context(kind).Pool(2) as pool:
                answers = pool.map(answer, names)
        else:
            answers = joblib.Parallel(2, backend=kind)(joblib.delayed(answer)(name) for name in names)
    assert answers == [alone[name] for name in names], f"{kind}: fits differ in other workers"
    return len(answers)


def interrupted_by_calls(name: str, n_rounds: int, seed: int) -> None:
    """Fits interrupted when they call this or that function of the library leave the fit before them whole."""
    model, rows = fitted(name), rows_of(name)
    whole, calls = bits(model), Calls()
    with calls.counted():
        model.fit(rows)
    for n in np.random.default_rng(seed).integers(1, calls.number, n_rounds, endpoint=True):
        with undisturbed():
            try:
                with calls.counted(until=int(n)):
                    model.fit(rows)
            except KeyboardInterrupt:
                pass
            else:
                raise AssertionError(f"{name} makes fewer than {n} calls when it is fitted again")
        assert bits(model) == whole, f"{name}: an interruption leaves another fit"


class Calls:
    """Calls of the library's functions in this thread, but for those that put things back."""

    PACKAGE = str(Path(mx.__file__).parent)
    PUT_BACK = ("fitted.py", "threads.py")

    def __init__(self) -> None:
        self.number, self._until = 0, 0

    @contextmanager
    def counted(self, until: int = 0) -> Iterator[None]:
        """Count meanwhile, and interrupt at the call of that number."""
        self.number, self._until = 0, until
        sys.setprofile(self._called)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _called(self, frame: FrameType, event: str, _: object) -> None:
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        # A generator that is not run to its end is called once more when it is closed, and what is raised then is ignored.
        is_closed = name in ("<genexpr>", "blocks")
        is_ours = file.startswith(self.PACKAGE) and not file.endswith(self.PUT_BACK) and not is_closed
        if event == "call" and is_ours:
            self.number += 1
            if self.number == self._until:
                sys.setprofile(None)
                raise KeyboardInterrupt


def interrupted_by_signals(name: str, n_rounds: int, seed: int) -> int:
    """The same at random moments, in the main thread of a process. Returns how many were interrupted.

    A signal may come where scikit-learn has changed warning filters and is about to put them back, so those are not looked at.
    """
    rng = np.random.default_rng(seed)
    model, rows = fitted(name), rows_of(name)
    whole, n_interrupted = bits(model), 0
    begun = time.perf_counter()
    model.fit(rows)
    longest = time.perf_counter() - begun
    with _alarms_interrupt():
        for _ in range(n_rounds):
            with undisturbed(but=("filters",)):
                try:
                    signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, longest))
                    model.fit(rows)
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except KeyboardInterrupt:
                    n_interrupted += 1
            assert bits(model) == whole, f"{name}: an interruption leaves another fit"
    return n_interrupted


@contextmanager
def _alarms_interrupt() -> Iterator[None]:
    def interrupt(_: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
