"""Who takes part, one adaptor each. A peer's own library is imported where it is first used, so that the others' processes stay clean."""

from __future__ import annotations

import hashlib
import math
import subprocess
from abc import ABC, abstractmethod
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

from bench import armadillo
from bench.data import Problem, drawn


class Contender(ABC):
    """Fits one problem from its start, by plain maximum likelihood, on all cores.

    Parameters
    ----------
    problem : Problem
    """

    name: ClassVar[str]
    needs: ClassVar[str]
    """What has to be installed."""
    dtypes: ClassVar[tuple[str, ...]] = ("float64", "float32")

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.rows, self.start = drawn(problem)

    @classmethod
    def version(cls) -> str | None:
        """The installed version, or ``None``."""
        try:
            return version(cls.needs)
        except PackageNotFoundError:
            return None

    @abstractmethod
    def fit(self, n_iter: int) -> None:
        """Do so many EM iterations from the start."""

    @abstractmethod
    def log_likelihood(self) -> float:
        """Of all rows after the last fit, as the contender itself computes it."""

    def digest(self) -> str:
        """Fingerprint of the parameters of the last fit."""
        return ""


class _Estimator(Contender):
    """scikit-learn's parameters, which mixtura shares."""

    estimator: Any

    def parameters(self, n_iter: int) -> dict[str, Any]:
        """Those of a fit from the start that nothing stops early and nothing regularises."""
        start = self.start
        return {
            "n_components": self.problem.n_components,
            "covariance_type": self.problem.covariance_type,
            "weights_init": start.weights,
            "means_init": start.means,
            "precisions_init": start.precisions,
            "max_iter": n_iter,
            "tol": 0.0,
            "reg_covar": 0.0,
        }


class Mixtura(_Estimator):
    """mixtura's ``GaussianMixture``."""

    name = needs = "mixtura"

    def fit(self, n_iter: int) -> None:
        from mixtura import GaussianMixture

        self.estimator = GaussianMixture(**self.parameters(n_iter)).fit(self.rows)
        if self.estimator.n_iter_ != n_iter:
            raise RuntimeError(f"stopped after {self.estimator.n_iter_} of {n_iter} iterations")

    def log_likelihood(self) -> float:
        return self.estimator.lower_bound_ * len(self.rows)

    def digest(self) -> str:
        model = self.estimator.mixture_
        parts = (model.weights, model.means, model.covariances)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


class ScikitLearn(_Estimator):
    """scikit-learn's ``GaussianMixture``."""

    name = needs = "scikit-learn"

    def fit(self, n_iter: int) -> None:
        from sklearn.mixture import GaussianMixture

        self.estimator = GaussianMixture(**self.parameters(n_iter)).fit(self.rows)
        if self.estimator.n_iter_ != n_iter:
            raise RuntimeError(f"stopped after {self.estimator.n_iter_} of {n_iter} iterations")

    def log_likelihood(self) -> float:
        return float(self.estimator.score_samples(self.rows).sum(dtype="float64"))


class Pomegranate(Contender):
    """pomegranate's ``GeneralMixtureModel`` of ``Normal`` distributions, on torch."""

    name = needs = "pomegranate"

    def __init__(self, problem: Problem) -> None:
        import torch

        super().__init__(problem)
        self._tensor = lambda array: torch.tensor(array, dtype=getattr(torch, problem.dtype))
        self._rows = self._tensor(self.rows)

    def fit(self, n_iter: int) -> None:
        from pomegranate.distributions import Normal
        from pomegranate.gmm import GeneralMixtureModel

        parts = [
            Normal(self._tensor(mean), self._tensor(covariance), covariance_type=self.problem.covariance_type)
            for mean, covariance in zip(self.start.means, self.start.covariances, strict=True)
        ]
        priors = self._tensor(self.start.weights)
        self._model = GeneralMixtureModel(parts, priors=priors, max_iter=n_iter, tol=-math.inf).fit(self._rows)

    def log_likelihood(self) -> float:
        return float(self._model.log_probability(self._rows).double().sum())


class Gmmx(Contender):
    """gmmx's ``EMFitter``, on JAX; it takes float32 only."""

    name = needs = "gmmx"
    dtypes = ("float32",)

    def __init__(self, problem: Problem) -> None:
        import jax.numpy as jnp
        from gmmx import GaussianMixtureModelJax

        super().__init__(problem)
        self._rows = jnp.asarray(self.rows)
        weights, means, covariances = (jnp.asarray(part, dtype=problem.dtype) for part in self.start[:3])
        self._start = GaussianMixtureModelJax.from_squeezed(
            means=means, covariances=covariances, weights=weights, covariance_type=problem.covariance_type
        )

    def fit(self, n_iter: int) -> None:
        import jax
        from gmmx import EMFitter

        fitted = EMFitter(max_iter=n_iter, tol=0.0, reg_covar=0.0).fit(self._rows, self._start)
        self._model = jax.block_until_ready(fitted.gmm)

    def log_likelihood(self) -> float:
        import numpy as np
        from scipy.special import logsumexp

        log_joint = np.asarray(self._model.log_prob(self._rows))[:, :, 0, 0]
        return float(logsumexp(log_joint, axis=1).sum(dtype="float64"))


class Armadillo(Contender):
    """Armadillo's ``gmm_full`` and ``gmm_diag``, in a C++ program of their own."""

    name = "Armadillo"
    needs = "Armadillo's headers and g++"
    dtypes = ("float64",)

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        sizes = map(str, (problem.n_rows, problem.n_features, problem.n_components))
        command = [str(armadillo.PROGRAM), problem.covariance_type, *sizes]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for part in (self.rows, self.start.weights, self.start.means, self.start.covariances):
            self._process.stdin.write(part.tobytes())

    @classmethod
    def version(cls) -> str | None:
        return armadillo.version()

    def _ask(self, n_iter: int) -> str:
        self._process.stdin.write(f"{n_iter}\n".encode())
        self._process.stdin.flush()
        return self._process.stdout.readline().decode().strip()

    def fit(self, n_iter: int) -> None:
        answer = self._ask(n_iter)
        if answer != "done":
            raise RuntimeError(f"learn answered {answer or 'nothing'}")

    def log_likelihood(self) -> float:
        return float(self._ask(0))


PEERS: tuple[type[Contender], ...] = (ScikitLearn, Armadillo, Pomegranate, Gmmx)
