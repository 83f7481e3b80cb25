"""What runs here, for a report of something that went wrong: mixtura, its engine, and what both stand on."""

from __future__ import annotations

import platform
import re
from importlib.metadata import PackageNotFoundError, requires, version

from mixtura.ground.text import printable
from mixtura.ground.threads import blas_libraries
from mixtura.sweep.compiled import description, engine


def installed(distribution: str) -> str | None:
    """The version of a distribution, or ``None`` if there is none.

    Parameters
    ----------
    distribution : str
        By its name on a package index.
    """
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _dependencies() -> list[str]:
    """Names of all libraries that mixtura needs or serves, as its own metadata list them."""
    requirements = (requires("mixtura") or []) if installed("mixtura") else []
    wanted = [r for r in requirements if "extra" not in r or re.search(r"extra == .all\b", r)]
    return [re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in wanted]


def show_versions() -> None:
    """Print what runs here: mixtura, the engine of its passes and why that one, Python, the machine, and the libraries in use.

    Optional libraries are listed where they are installed.

    Examples
    --------
    >>> import mixtura as mx
    >>> mx.show_versions()  # doctest: +ELLIPSIS
    mixtura           ...
    engine            ...
    Python            ...
    numpy             ...
    """
    rows = [("mixtura", installed("mixtura") or "(not installed)"), ("engine", description)]
    if engine is not None:
        rows.append(("instruction sets", ", ".join(engine.instruction_sets())))
    rows += [
        ("Python", f"{platform.python_version()} ({platform.python_implementation()})"),
        ("platform", platform.platform()),
        *(("BLAS", library) for library in blas_libraries()),
        *((name, found) for name in _dependencies() if (found := installed(name))),
    ]
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:<{width}}  {printable(text)}")
