"""What can go wrong, as types. Every message says what happened, the value seen, and what to try."""


class MixturaError(Exception):
    """Base class of every error that mixtura raises on purpose."""


class InvalidParameterError(MixturaError, ValueError):
    """A parameter or a distribution that the model does not allow."""


class DataError(MixturaError, ValueError):
    """Data that cannot be used as they are: wrong shape, not finite, too few rows, unreadable."""


class ClusterError(MixturaError, RuntimeError):
    """A cluster that cannot be reached, or that has lost what it was to compute."""


class CollapseError(MixturaError, ValueError):
    """A component shrank onto repeated rows or a subspace, so that the likelihood is unbounded."""


class UnknownEvidenceError(MixturaError, ArithmeticError):
    """Estimates of an evidence that rest on a few draws, or do not agree: none of them can be trusted."""


class ModelFileError(MixturaError, ValueError):
    """A file that is not a mixtura model, or is a damaged or a newer one."""


class MissingExtraError(MixturaError, ImportError):
    """An optional library is not installed; the message names the ``pip install`` that brings it."""


class CollapseWarning(UserWarning):
    """The returned mixture has a component held at the floor ``reg_covar``."""


def missing_extra(purpose: str, extra: str) -> MissingExtraError:
    """Error for an optional library that is not there.

    Parameters
    ----------
    purpose : str
        What the user wanted, as the subject of a sentence ("Plots").
    extra : str
        The name of the extra that brings the library.
    """
    return MissingExtraError(f'{purpose} need an optional library: pip install "mixtura[{extra}]"')
