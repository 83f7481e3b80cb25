"""A fitted mixture in words: what a fit should remember, and the plain-text summary made of it.

``fit_facts`` picks plain JSON values out of a search, so that they can live in the model file; ``describe`` needs nothing but the mixture
and those values. The summary is the same right after the fit and years later.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mixtura.assess.choice.candidates import Candidate, Search
from mixtura.assess.choice.criteria import CRITERIA, Criteria, criteria
from mixtura.assess.draws.draws_summary import describe_draws
from mixtura.assess.layout import (
    WIDTH,
    aligned,
    count,
    four_digits,
    in_columns,
    labelled,
    often,
    short_name,
    side_by_side,
    wrapped,
)
from mixtura.data.source import Source
from mixtura.ground.errors import ModelFileError
from mixtura.ground.linalg import Array
from mixtura.ground.text import printable
from mixtura.model.mixture import Mixture

MATRIX_FEATURES = 6
"""Up to this many columns, covariances are shown as matrices."""
MOST_ROWS = 12
"""Candidate tables show no more rows than this."""
UNBROKEN = "\N{NO-BREAK SPACE}"
MOST_OPTIMA = 5
NAME_WIDTH_IN_MATRIX = 12

Facts = Mapping[str, Any]
"""Plain JSON values, as ``fit_facts`` makes them."""
Entry = tuple[str, str]
"""A label and what there is to say."""


# ---- what a fit remembers ------------------------------------------------------------------------------------------------------


def fit_facts(
    found: Search | Candidate,
    n_rows: int,
    *,
    data: str | None = None,
    left_out: Sequence[str] = (),
    seed: int | None = None,
    certificate: str | None = None,
) -> dict[str, Any]:
    """What is worth remembering of a fit, as plain JSON values.

    Parameters
    ----------
    found : Search or Candidate
        A whole search, or one fitted candidate.
    n_rows : int
        ``N``.
    data : str, optional
        Where the rows came from.
    left_out : sequence of str
        Columns of the data that were not used.
    seed : int, optional
    certificate : str, optional
        What is known of the place where the fit ended.

    Returns
    -------
    dict
        ``log_likelihood``, ``n_parameters``, ``bic``, ``aic``, ``icl``, ``iterations``, ``converged``, ``stopped`` (a sentence), ``optima``
        (``[[bound, times], …]``, best first), ``restarts``, ``collapsed``, ``held_at_floor`` (sentences),
        ``certificate``, ``rows``, ``data``, ``left_out``,
        ``seed``; from a search also ``criterion`` and ``candidates``.

    Examples
    --------
    >>> import numpy as np
    >>> from mixtura.assess.describe import fit_facts
    >>> import mixtura as mx
    >>> X = np.random.default_rng(0).normal(size=(50, 1))
    >>> facts = fit_facts(mx.GaussianMixtureSearch(1, random_state=0).fit(X).search_, len(X))
    >>> facts["rows"], facts["n_parameters"], facts["candidates"][0]["n_components"]
    (50, 2, 1)
    """
    best = found.best if isinstance(found, Search) else found
    if best.restarts is None:
        raise ValueError(f"this candidate was not fitted: {best.error}")
    run = best.restarts.best
    facts: dict[str, Any] = {
        "data": data,
        "rows": int(n_rows),
        "left_out": list(left_out),
        "seed": seed,
        **_scores(best.criteria),
        "iterations": run.n_iter,
        "converged": run.stop.converged,
        "stopped": run.stop.sentence,
        "optima": [[float(optimum.bound), optimum.times] for optimum in best.restarts.optima],
        "restarts": best.restarts.n_runs,
        "dropped": best.restarts.n_dropped,
        "collapsed": best.restarts.n_collapsed,
        "held_at_floor": [str(collapse) for collapse in run.collapses],
        "certificate": certificate,
    }
    if isinstance(found, Search):
        facts["criterion"] = found.criterion
        facts["candidates"] = [
            {
                "n_components": candidate.n_components,
                "covariance_type": candidate.covariance_type,
                **_scores(candidate.criteria),
                "sound": candidate.sound,
                "converged": candidate.converged,
                "held": candidate.n_held,
                "error": candidate.error,
            }
            for candidate in found.candidates
        ]
    return facts


def posterior_facts(
    method: str,
    mixture: Mixture,
    source: Source,
    weights: Array,
    *,
    asked: int,
    level: float = 0.95,
    bound: float | None = None,
    **common: Any,
) -> dict[str, Any]:
    """What is worth remembering of a variational posterior and the point that stands for it, as plain JSON values.

    Parameters
    ----------
    method : str
        How it was found.
    mixture : Mixture
        The point.
    source : Source
        The rows.
    weights : (2, K) array
        Lower and upper ends of intervals of its weights.
    asked : int
        Most components there could have been.
    level : float, default=0.95
        Of the intervals.
    bound : float, optional
        Lower bound of the log evidence.
    **common
        ``data``, ``left_out``, ``seed``, ``iterations``, ``converged``, ``stopped``, as in ``fit_facts``.
    """
    return {
        **common,
        "rows": source.n_rows,
        "log_likelihood": _finite(criteria(mixture, source).log_likelihood),
        "posterior": {
            "method": method,
            "asked": asked,
            "bound": _finite(bound),
            "level": level,
            "weights": np.asarray(weights).tolist(),
        },
    }


def _scores(criteria: Criteria | None) -> dict[str, float | int | None]:
    found = {name: getattr(criteria, name, None) for name in ("n_parameters", "log_likelihood", *CRITERIA)}
    return {name: value if isinstance(value, int) else _finite(value) for name, value in found.items()}


def _finite(value: float | None) -> float | None:
    """JSON knows neither NaN nor infinity."""
    return float(value) if value is not None and math.isfinite(value) else None


# ---- the summary ---------------------------------------------------------------------------------------------------------------


def describe(mixture: Mixture, facts: Facts | None = None, width: int = WIDTH, *, verbose: bool = False) -> str:
    """The plain-text summary of a mixture and of the fit that it came from.

    What names hold beside letters, such as a terminal's control characters, is shown escaped.

    Parameters
    ----------
    mixture : Mixture
    facts : mapping, optional
        As ``fit_facts`` made them; whatever is absent is not mentioned.
    width : int, default=100
        The most characters that a line may have, unless a single column of a table needs more.
    verbose : bool, default=False
        Of draws, whether the covariances of the point are there, and all that chains are compared by.

    Raises
    ------
    ModelFileError
        If the facts are not of the kind that ``fit_facts`` makes.

    Examples
    --------
    >>> from mixtura.assess.describe import describe
    >>> from mixtura.model.mixture import Mixture
    >>> print(describe(Mixture([0.25, 0.75], [[0.0], [3.0]], [1.0, 4.0], "spherical", feature_names=["height"])))
    Model           2 components in 1 column, covariance spherical (VII)
                    each component is round, with its own variance
    Columns         height
    Parameters      5
    <BLANKLINE>
    Weights and means
      component  weight  height
      0          0.2500    0.00
      1          0.7500    3.00
    <BLANKLINE>
    Standard deviations
      component  height
      0            1.00
      1            2.00
    """
    facts, parts = facts or {}, []
    try:
        parts += [_candidates(mixture, facts, width), _model(mixture, facts, width)]
        drawn = facts.get("draws")
        if drawn:
            names = _feature_names(mixture)
            parts.append(describe_draws(drawn, names, width=width, verbose=verbose))
        if not (drawn and "components" in drawn):  # whose table has the weights and means
            parts.append(_weights_and_means(mixture, facts, width))
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        raise ModelFileError(
            f"the record of the fit cannot be read ({type(error).__name__}: {error}); "
            "the model itself is sound, so predict, score and sample still work. Fit again for a new record."
        ) from error
    if verbose or not drawn:
        parts.append(_spread(mixture, width))
    return "\n\n".join(part for part in parts if part)


def _model(mixture: Mixture, facts: Facts, width: int) -> str:
    structure = mixture.structure
    entries = [
        (
            "Model",
            f"{count(mixture.n_components, 'component')} in {count(mixture.n_features, 'column')}, "
            f"covariance {structure.name} ({structure.code})",
        ),
        ("", structure.sentence),
    ]
    if facts.get("data") is not None or facts.get("rows") is not None:
        rows = count(facts["rows"], "row") if facts.get("rows") is not None else ""
        entries.append(("Data", ", ".join(filter(None, [facts.get("data"), rows]))))
    entries.append(("Columns", ", ".join(_feature_names(mixture))))
    if facts.get("left_out"):
        entries.append(("Left out", ", ".join(map(str, facts["left_out"]))))
    entries.append(("Parameters", str(mixture.n_parameters)))
    if facts.get("log_likelihood") is not None:
        value = facts["log_likelihood"]
        per_row = f" ({value / facts['rows']:.4f} per row)" if facts.get("rows") else ""
        entries.append(("Log-likelihood", f"{value:.3f}{per_row}"))
    known = [f"{name.upper()} {facts[name]:.2f}" for name in ("bic", "aic", "icl") if facts.get(name) is not None]
    if known:
        entries.append(("Criteria", f"{', '.join(known)} (-2 log-likelihood + penalty: lower is better)"))
    if facts.get("posterior"):
        entries += _posterior(mixture, facts["posterior"])
    if facts.get("draws"):
        drawn = facts["draws"]
        entries.append(
            ("Posterior", f"{drawn['method']}, {count(drawn['chains'], 'chain')} of {count(drawn['draws'], 'draw')}")
        )
    if facts.get("stopped"):
        steps = "" if facts["iterations"] is None else f", after {count(facts['iterations'], 'iteration')}"
        entries.append(("Stopped", facts["stopped"] + steps))
    if facts.get("optima") and mixture.n_components > 1:
        entries.append(("Starts", _starts(facts)))
    if facts.get("certificate"):
        entries.append(("Certificate", facts["certificate"]))
    if facts.get("held_at_floor"):
        entries.append(("Warning", _held(facts["held_at_floor"])))
    return "\n".join(labelled(label, text, width) for label, text in entries)


def _posterior(mixture: Mixture, found: Facts) -> list[Entry]:
    held = f"{mixture.n_components} of at most {count(found['asked'], 'component')} hold rows"
    entries = [("Posterior", f"{found['method']}; {held}")]
    if found["bound"] is not None:
        entries.append(("Lower bound", f"{found['bound']:.3f} (of the log evidence)"))
    return entries


def _held(sentences: Sequence[str]) -> str:
    first, more = sentences[0], len(sentences) - 1
    others = f", and so did {count(more, 'other component')}" if more else ""
    return (
        f"{first}{others}. The floor on the variances holds it there, as is right where a column has few values. Otherwise do not "
        "trust this model: try fewer components, leave out redundant columns, or set another floor (reg_covar)."
    )


def _starts(facts: Facts) -> str:
    optima = facts["optima"]
    collapsed = facts["collapsed"]
    lost = f"{collapsed} of them collapsed" if collapsed else "none collapsed"
    if facts.get("dropped"):
        lost += f", {facts['dropped']} given up early behind the others"
    runs = facts["restarts"]
    if runs == 1:
        return "1 start only, so other optima may have been missed"
    if len(optima) == 1:
        ((bound, times),) = optima
        return f"{runs}, {lost}; one optimum, log-likelihood {bound:.3f}, reached {often(times)}"
    listed = ", ".join(f"{bound:.3f} ({often(times)})" for bound, times in optima[:MOST_OPTIMA])
    more = f" and {len(optima) - MOST_OPTIMA} lower ones" if len(optima) > MOST_OPTIMA else ""
    return f"{runs}, {lost}; {len(optima)} distinct optima, by log-likelihood: {listed}{more}"


# ---- the candidates ------------------------------------------------------------------------------------------------------------


def _candidates(mixture: Mixture, facts: Facts, width: int) -> str:
    candidates, criterion = facts.get("candidates") or [], facts.get("criterion")
    if len(candidates) < 2 or criterion is None:
        return ""
    shapes = list(dict.fromkeys(c["covariance_type"] for c in candidates))
    sizes = sorted({c["n_components"] for c in candidates})
    shown = _best_sizes(candidates, sizes, criterion)
    by_place = {(c["n_components"], c["covariance_type"]): c for c in candidates}
    chosen = (mixture.n_components, mixture.covariance_type)
    if len(shapes) == 1:
        title, header = (
            f"Candidates, covariance {shapes[0]}",
            ["K", "parameters", "log-likelihood", "BIC", "AIC", "ICL", ""],
        )
        rows = [_detailed(by_place[k, shapes[0]], criterion, (k, shapes[0]) == chosen) for k in shown]
    else:
        title, header = f"{criterion.upper()} of each candidate", ["K", *shapes]
        room = max(len(_marks(c, (c["n_components"], c["covariance_type"]) == chosen)) for c in candidates)
        rows = [
            [str(k), *(_cell(by_place.get((k, s)), criterion, (k, s) == chosen, room) for s in shapes)] for k in shown
        ]
    notes = [] if len(shapes) == 1 else ["* chosen"]
    if any(not c["sound"] and c["error"] is None for c in candidates):
        notes.append("! a component collapsed and is held at the floor")
    if any("=" in _marks(c, False) for c in candidates):
        notes.append("= a component is held at the floor")
    if any("~" in _marks(c, False) for c in candidates):
        notes.append("~ did not converge")
    if any(c["error"] is not None for c in candidates):
        notes.append("- could not be fitted")
    if len(shown) < len(sizes):
        notes.append(f"K not shown are worse ({len(sizes) - len(shown)})")
    lines = [printable(title) + " (lower is better)" * (len(shapes) > 1), in_columns(header, rows, width)]
    whole = "   ".join(note.replace(" ", UNBROKEN) for note in notes)
    folded = textwrap.wrap(whole, width, initial_indent="  ", subsequent_indent="  ")
    lines += [line.replace(UNBROKEN, " ") for line in folded]
    lines += _reasons(candidates, width)
    if len(sizes) > 1 and mixture.n_components == sizes[-1]:
        lines += wrapped(f"K = {sizes[-1]} is the largest tried; a larger one may be better still.", width, "  ", "  ")
    return "\n".join(lines)


def _best_sizes(candidates: Sequence[Facts], sizes: Sequence[int], criterion: str) -> list[int]:
    """The sizes worth a line: all, or those of the lowest criterion."""
    lowest = {
        k: min(
            (c[criterion] for c in candidates if c["n_components"] == k and c[criterion] is not None), default=math.inf
        )
        for k in sizes
    }
    return sorted(sorted(sizes, key=lambda k: lowest[k])[:MOST_ROWS])


def _detailed(candidate: Facts, criterion: str, chosen: bool) -> list[str]:
    size = str(candidate["n_components"])
    if candidate["error"] is not None:
        return [size, *["-"] * 5, ""]
    numbers = [f"{candidate[name]:.2f}" for name in ("log_likelihood", "bic", "aic", "icl")]
    remark = f"<- chosen by {criterion.upper()}" if chosen else ""
    return [size, str(candidate["n_parameters"]), *numbers, " ".join(filter(None, [_marks(candidate, False), remark]))]


def _cell(candidate: Facts | None, criterion: str, chosen: bool, room: int) -> str:
    if candidate is None or candidate["error"] is not None:
        return ("" if candidate is None else "-") + " " * room
    return f"{candidate[criterion]:.2f}" + _marks(candidate, chosen).ljust(room)


def _marks(candidate: Facts, chosen: bool) -> str:
    """What is to be said of a candidate beside its numbers; older records say less."""
    if candidate["error"] is not None:
        return ""
    held = "" if not candidate.get("held") else "="
    return "*" * chosen + (held if candidate["sound"] else "!") + "~" * (not candidate.get("converged", True))


def _reasons(candidates: Sequence[Facts], width: int) -> list[str]:
    """Why the first candidate that failed did."""
    failed = [c for c in candidates if c["error"] is not None]
    if not failed:
        return []
    first = failed[0]
    text = f"Not fitted, K = {first['n_components']} {first['covariance_type']}: {first['error']}"
    return wrapped(text, width, "  ", "    ")


# ---- the parameters ------------------------------------------------------------------------------------------------------------


def _weights_and_means(mixture: Mixture, facts: Facts, width: int) -> str:
    variances = mixture.variances
    columns = [aligned(mixture.means[:, d], math.sqrt(variances[:, d].min())) for d in range(mixture.n_features)]
    header, found = ["component", "weight"], facts.get("posterior")
    weights = [[f"{weight:.4f}"] for weight in mixture.weights]
    if found:
        header.append(f"{100 * found['level']:g} % interval")
        ends = zip(*found["weights"], strict=True)
        weights = [[*cells, f"{low:.4f} .. {high:.4f}"] for cells, (low, high) in zip(weights, ends, strict=True)]
    rows = [[str(k), *cells, *(column[k] for column in columns)] for k, cells in enumerate(weights)]
    return "Weights and means\n" + in_columns([*header, *map(short_name, _feature_names(mixture))], rows, width)


def _spread(mixture: Mixture, width: int) -> str:
    in_short = mixture.structure.diagonal or mixture.n_features == 1 or mixture.n_features > MATRIX_FEATURES
    own = mixture.variances if mixture.structure.diagonal else mixture.covariance_matrices
    shared = len(own) > 1 and bool((own == own[0]).all())
    which = ["all"] if shared else [str(k) for k in range(len(own))]
    names = [short_name(name) for name in _feature_names(mixture)]
    if in_short:
        deviations = np.sqrt(mixture.variances[: len(which)])
        columns = [aligned(column, float(column.min())) for column in deviations.T]
        rows = [[label, *(column[i] for column in columns)] for i, label in enumerate(which)]
        text = "Standard deviations\n" + in_columns(["component", *names], rows, width)
        if not mixture.structure.diagonal and mixture.n_features > 1:
            remark = "The covariance matrices are too wide to show here; the model holds them in full."
            text += "\n" + "\n".join(wrapped(remark, width, "  ", "  "))
        return text
    names = [short_name(name, NAME_WIDTH_IN_MATRIX) for name in _feature_names(mixture)]
    blocks = [
        in_columns(["shared" if shared else f"component {label}", *names], _matrix_rows(names, matrix), width)
        for label, matrix in zip(which, own, strict=False)
    ]
    return "Covariances\n" + "\n\n".join(side_by_side(blocks, width))


def _matrix_rows(names: Sequence[str], matrix: Array) -> list[list[str]]:
    return [[name, *map(four_digits, row)] for name, row in zip(names, matrix.tolist(), strict=True)]


def _feature_names(mixture: Mixture) -> tuple[str, ...]:
    return tuple(map(printable, mixture.column_names))
