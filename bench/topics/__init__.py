"""What is measured: each topic is a module with a function that takes whether to be quick and returns tables."""

from collections.abc import Callable

from bench.report import Table
from bench.topics import (
    defaults,
    imports,
    mcmc,
    memory,
    passes,
    restarts,
    search,
    solvers,
    sources,
    streams,
    threads,
    truncated,
    variational,
)

TOPICS: dict[str, Callable[[bool], list[Table]]] = {
    "passes": passes.tables,
    "defaults": defaults.tables,
    "restarts": restarts.tables,
    "search": search.tables,
    "truncated": truncated.tables,
    "solvers": solvers.tables,
    "variational": variational.tables,
    "streams": streams.tables,
    "mcmc": mcmc.tables,
    "threads": threads.tables,
    "memory": memory.tables,
    "sources": sources.tables,
    "imports": imports.tables,
}
