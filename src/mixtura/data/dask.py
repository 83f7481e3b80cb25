"""Rows on a cluster that Dask runs. The one file of the house that imports it.

The rows lie on the workers. For a pass each part of them is sent one task, and what parts answer is added up along the tree over the
strips, on the workers too: one round trip, whatever the number of mixtures. Workers that are lost take nothing along that Dask cannot have
computed again, and since a sum does not depend on who computes its parts, the answer is the same to the last bit.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from mixtura.data.batches import Batch, check_alike, cleaned, in_blocks, joined, no_rows, numbers
from mixtura.data.source import Block, Mapped, S, Source, TreeSum, in_threads
from mixtura.ground.errors import ClusterError, DataError, missing_extra
from mixtura.ground.linalg import Array
from mixtura.ground.threads import single_threaded_blas

PARTS_PER_THREAD = 4
"""Parts of which each thread of the cluster has about so many: when one is slow, the others do its share."""
AT_ONCE = 8
"""Answers that are added up in one task."""
ROWS_SENT = 2**17
"""Rows to a part of what is in memory here."""
NEEDED = "mixtura.data.dask"
"""What workers have to find."""
LOOK, DESERTED = 2.0, 60.0
"""After so many seconds it is seen whether a cluster that has not answered has workers, and after so many without any it is given up."""
SECONDS = 5
"""Within which a scheduler answers, and has workers."""


def is_collection(X: Any) -> bool:
    """Whether it is a Dask array or data frame, without importing the library."""
    return hasattr(X, "__dask_graph__") and hasattr(X, "to_delayed") and hasattr(X, "ndim")


class CollectionColumns:
    """Some columns of a Dask array or data frame, chunk by chunk.

    Parameters
    ----------
    collection : dask.array.Array or dask.dataframe.DataFrame
    columns : sequence of str, optional
        Of a data frame; all by default.
    weights : str, optional
        The column of row weights.

    Attributes
    ----------
    names : tuple of str or None
    """

    def __init__(self, collection: Any, columns: Sequence[str] | None, weights: str | None) -> None:
        there = names_of(collection)
        if collection.ndim != 2:
            raise DataError(
                f"X must have two dimensions, rows and columns; this Dask collection has {collection.ndim}."
            )
        if there is None:
            if columns is not None or weights is not None:
                raise DataError(
                    "columns and sample_weight name columns of a table; those of a Dask array have no names."
                )
            self.names, self._chosen = None, collection.rechunk({1: -1})
        else:
            self.names = tuple(name for name in there if name != weights) if columns is None else tuple(columns)
            wanted = [*self.names, *([] if weights is None else [weights])]
            if unknown := [name for name in wanted if name not in there]:
                raise DataError(f"there is no column {unknown[0]!r}; the columns are {', '.join(map(repr, there))}.")
            self._chosen = collection[wanted]
        self._weighted = weights is not None

    def __call__(self) -> Iterator[Batch]:
        """Go over all rows in this process."""
        for part in self.parts():
            yield from part.compute()

    def parts(self) -> list[Any]:
        """What stands for the batches of each chunk."""
        chunks = np.ravel(np.array(self._chosen.to_delayed(), dtype=object)).tolist()
        return [_task(_of_chunk, chunk, self._weighted) for chunk in chunks]


def names_of(collection: Any) -> tuple[str, ...] | None:
    """Names of its columns, where they have such."""
    columns = getattr(collection, "columns", None)
    return None if columns is None else tuple(map(str, columns))


def _of_chunk(chunk: Any, weighted: bool) -> list[Batch]:
    if not weighted:
        return [(numbers(chunk), None)]
    rows = numbers(chunk.iloc[:, :-1])
    return [(rows, np.asarray(chunk.iloc[:, -1], dtype=np.float64))]


def current_client() -> Any:
    """The client that Dask's own collections would use, or ``None``."""
    if "distributed" not in sys.modules:
        return None
    from distributed import default_client

    try:
        return default_client()
    except ValueError:
        return None


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """The client of the scheduler at an address, as long as the block lasts.

    Nothing is logged meanwhile: what goes wrong is an error.

    Parameters
    ----------
    address : str
        Such as ``"tcp://host:8786"``.

    Raises
    ------
    ClusterError
        If none answers there within seconds, or it has no workers.
    """
    with _in_silence():
        _check_answers(address)
        with _client_of(address) as client:
            yield client


@contextmanager
def workers_here(n_workers: int) -> Iterator[Any]:
    """The client of so many processes on this machine, which end with the block.

    Parameters
    ----------
    n_workers : int

    Raises
    ------
    ClusterError
        If they cannot be started.
    """
    with _in_silence():
        from distributed import LocalCluster

        anywhere = {"dashboard_address": "127.0.0.1:0"}  # or it wants the port of somebody else's dashboard
        try:
            cluster = LocalCluster(
                n_workers=n_workers,
                threads_per_worker=1,
                dashboard_address=None,
                scheduler_kwargs=anywhere,
                silence_logs=logging.CRITICAL,
            )
        except (RuntimeError, OSError, TimeoutError) as error:
            raise ClusterError(f"{n_workers} workers could not be started: {_in_short(error)}. Try fewer.") from error
        with cluster, _client_of(cluster.scheduler_address) as client:
            client.run(_deafen)
            yield client


def _deafen() -> None:
    """Ctrl-C on a terminal is meant for all processes there, but it is whoever began them that ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _client_of(address: str) -> Iterator[Any]:
    from distributed import Client

    try:
        client = Client(address, timeout=SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise _unanswered(address) from error
    try:
        try:
            client.wait_for_workers(1, timeout=SECONDS)
        except TimeoutError as error:
            raise ClusterError(
                f"the scheduler at {address} has no workers. Start some where mixtura is installed: dask worker {address}"
            ) from error
        yield client
    finally:
        with suppress(OSError, TimeoutError):  # where the scheduler has gone there is nobody to take leave of
            client.close(timeout=1)


def _check_answers(address: str) -> None:
    """Raise if no scheduler answers: a client that has failed to reach one would go on trying, and complain."""
    from distributed import Security, rpc

    async def ask() -> Any:
        keys = Security().get_connection_args("client")  # where the configuration names such
        async with rpc(address, timeout=SECONDS, connection_args=keys) as there:
            return await asyncio.wait_for(there.identity(), SECONDS)

    try:
        found = asyncio.run(ask())
    except ValueError as error:
        said = _in_short(error)
        raise ClusterError(
            f"{address!r} is no address of a Dask scheduler, such as tcp://host:8786 ({said})."
        ) from error
    except Exception as error:  # whatever else may listen there answers as it likes
        raise _unanswered(address) from error
    kind = found.get("type") if isinstance(found, dict) else type(found).__name__
    if kind != "Scheduler":
        raise ClusterError(f"what answers at {address} is a {kind}. Give the address of the scheduler.")


def _unanswered(where: str) -> ClusterError:
    return ClusterError(
        f"no Dask scheduler answers at {where} within {SECONDS} seconds. Start one there (dask scheduler), or check the address."
    )


def _in_short(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")[:200] or type(error).__name__


@contextmanager
def _in_silence() -> Iterator[None]:
    """Without the log of the cluster on standard error, and without long waits for what has gone."""
    try:
        import distributed  # noqa: F401
        from dask import config
    except ImportError as error:
        raise missing_extra("Clusters", "dask") from error
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with config.set({"distributed.comm.timeouts.connect": f"{SECONDS}s"}):
            yield
    finally:
        logging.disable(before)


class Held(NamedTuple):
    """Consecutive rows on the cluster: where they stand, and the future of their block."""

    start: int
    stop: int
    block: Any


class DaskSource(Source):
    """Rows on the workers of a cluster.

    Parameters
    ----------
    client : distributed.Client
    parts : sequence
        Lists of batches, what is called for such a list, or Dask objects that stand for one.
    names : tuple of str or None
    drops : bool
        Whether rows with missing values are left out.

    Attributes
    ----------
    n_dropped : int
        Rows with a missing or infinite value that were left out.
    """

    def __init__(self, client: Any, parts: Iterable[Any], names: tuple[str, ...] | None, drops: bool) -> None:
        try:
            from dask import config
            from distributed import Client
        except ImportError as error:
            raise missing_extra("Clusters", "dask") from error
        if not isinstance(client, Client):
            raise DataError(f"a cluster is named by its distributed.Client; got {type(client).__name__}.")
        self._client, self.names, self._address = client, names, client.scheduler.address
        with self._in_touch():
            _check_installed(client)
        # Rows from here are part of the graph, so that they are not lost with a worker.
        with config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
            pieces = self._begun([_task(_piece, part, drops) for part in parts])
        counted = self._answered(self._begun([_task(_counted, piece) for piece in pieces]))
        filled = [(piece, count) for piece, count in zip(pieces, counted, strict=True) if count.n_rows]
        self.n_dropped = sum(count.n_dropped for count in counted)
        if not filled:
            raise no_rows()
        _, first = filled[0]
        self._n_features, self._dtype = first.n_features, first.dtype
        self._held, n_rows = list[Held](), 0
        for piece, count in filled:
            check_alike(np.empty((0, count.n_features), count.dtype), self._n_features, self._dtype)
            self._held.append(Held(n_rows, n_rows + count.n_rows, piece))
            n_rows += count.n_rows
        self._n_rows = n_rows
        self._n_threads = max(1, sum(client.nthreads().values()))
        self._size: int | None = None

    @property
    def n_rows(self) -> int:
        return self._n_rows

    @property
    def n_features(self) -> int:
        return self._n_features

    @property
    def dtype(self) -> np.dtype:
        return self._dtype

    def blocks(self, size: int) -> Iterator[Block]:
        return in_blocks(self._fetched(), size)

    def _fetched(self) -> Iterator[Batch]:
        """The rows, part after part, here."""
        for held in self._held:
            (block,) = self._answered([held.block])
            yield block.rows, block.weights

    def reduce(self, task: Callable[[Block], S], size: int, mapped: Mapped = in_threads) -> S:
        # One object on the cluster, which every part's task asks for.
        sent = _as_one(task)
        sums = [_task(_answers, sent, part, size) for part in self._cut(size)]
        while len(sums) > 1:
            sums = [_task(_together, sums[i : i + AT_ONCE]) for i in range(0, len(sums), AT_ONCE)]
        (tree,) = self._answered(self._begun(sums))
        return tree.total()

    def row_wise(self, function: Callable[[Array], NDArray[Any]]) -> Any:
        """What a function of rows says of each, as a Dask array that nobody has computed yet."""
        import dask.array as da

        shapes = [(held.stop - held.start, self._n_features) for held in self._held]
        chunks = [
            da.from_delayed(_task(_rows_of, held.block), shape, self._dtype)
            for held, shape in zip(self._held, shapes, strict=True)
        ]
        return lazily(da.concatenate(chunks), function)

    def _cut(self, size: int) -> list[Any]:
        """Blocks of whole strips of that size, some on each worker; those of a pass are kept, in place of what they were cut from."""
        if size == self._size:
            return [held.block for held in self._held]
        n_strips = -(-self._n_rows // size)
        strips = 2 ** max(0, (n_strips // (PARTS_PER_THREAD * self._n_threads)).bit_length() - 1)
        parts = list(self._recut(size * strips))
        if size != self.strip_rows:
            return [part.block for part in parts]
        futures = self._begun([part.block for part in parts])
        self._held = [part._replace(block=future) for part, future in zip(parts, futures, strict=True)]
        self._size = size
        return futures

    def _recut(self, n_rows: int) -> Iterator[Held]:
        for start in range(0, self._n_rows, n_rows):
            stop = min(start + n_rows, self._n_rows)
            here = [held for held in self._held if held.start < stop and held.stop > start]
            spans = [(max(start - held.start, 0), min(stop, held.stop) - held.start) for held in here]
            yield Held(start, stop, _task(_from, start, [held.block for held in here], spans))

    def _begun(self, tasks: Sequence[Any]) -> list[Any]:
        """Futures of tasks."""
        with self._in_touch():
            return list(self._client.compute(tasks))

    def _answered(self, futures: Sequence[Any]) -> list[Any]:
        """Results of futures."""
        from distributed import wait

        with self._in_touch():
            deserted: float | None = None
            while True:
                try:
                    with self._client.as_current():
                        wait(futures, timeout=LOOK)
                except TimeoutError:
                    now = time.monotonic()
                    deserted = None if self._client.nthreads() else deserted or now
                    if deserted is not None and now - deserted > DESERTED:
                        break
                else:
                    return list(self._client.gather(futures))
        raise ClusterError(
            f"the cluster of {self._address} has had no workers for {DESERTED:.0f} seconds. Start some, and fit anew or resume from a "
            "checkpoint."
        )

    @contextmanager
    def _in_touch(self) -> Iterator[None]:
        """What goes wrong with a cluster that is asked something, in the user's words."""
        from asyncio import CancelledError
        from concurrent.futures import CancelledError as Cancelled

        from distributed import KilledWorker
        from distributed.comm import CommClosedError

        try:
            yield
        except KilledWorker as error:
            raise ClusterError(
                "one part of the rows took several workers down with it. Their logs say why; often it is memory: take more or "
                "larger workers."
            ) from error
        except (CancelledError, Cancelled, CommClosedError, OSError, TimeoutError) as error:
            raise _gone(self._address) from error
        except ModuleNotFoundError as error:
            raise ClusterError(f"the workers lack {error.name}. Install mixtura there as it is here.") from error
        except Exception as error:  # of a client that has given up, in words of its own
            if self._client.status == "running":
                raise
            raise _gone(self._address) from error


def _check_installed(client: Any) -> None:
    """Raise unless all workers have this version: one that cannot read what it is sent would leave, and leave nobody to answer."""
    try:
        is_there = None not in client.run(find_spec, NEEDED).values()
    except ModuleNotFoundError:
        is_there = False
    if not is_there:
        raise ClusterError("workers lack mixtura. Install there what is installed here.")
    here = version("mixtura")
    for there in client.run(version, "mixtura").values():
        if there != here:
            raise ClusterError(f"workers have mixtura {there}, and here is {here}. Install the same version.")


def _gone(address: str) -> ClusterError:
    return ClusterError(
        f"the scheduler at {address} is gone, and what it had computed with it. Start it again, and fit anew or resume from a "
        "checkpoint."
    )


def _task(function: Callable[..., Any], *given: Any) -> Any:
    """A call on the cluster, which nobody has asked for yet."""
    from dask.delayed import delayed

    return delayed(function, pure=False)(*given)


def _as_one(thing: Any) -> Any:
    """An object on the cluster, which is not looked into."""
    from dask.delayed import delayed

    return delayed(thing, name=f"mixtura-{uuid4().hex}", traverse=False)


class Counted(NamedTuple):
    """How many rows a part has, of what kind, and how many were left out."""

    n_rows: int
    n_features: int
    dtype: np.dtype
    n_dropped: int


class Piece(NamedTuple):
    """Rows as they were read, whose place is not known yet; as a block has them."""

    rows: Array
    weights: Array | None
    n_dropped: int


def _piece(part: Any, drops: bool) -> Piece:
    """Read a part, all of it."""
    kept = [cleaned(batch, drops) for batch in (part() if callable(part) else part)]
    batches = [batch for batch, _ in kept]
    rows, weights = joined(batches) if batches else (np.empty((0, 0)), None)
    return Piece(rows, weights, sum(n_dropped for _, n_dropped in kept))


def _counted(piece: Piece) -> Counted:
    n_rows, n_features = piece.rows.shape
    return Counted(n_rows, n_features, piece.rows.dtype, piece.n_dropped)


def _from(start: int, pieces: Sequence[Piece | Block], spans: Sequence[tuple[int, int]]) -> Block:
    """Some consecutive rows of some consecutive blocks as one, from that place on."""
    rows, weights = joined(
        [
            (piece.rows[first:end], None if piece.weights is None else piece.weights[first:end])
            for piece, (first, end) in zip(pieces, spans, strict=True)
        ]
    )
    return Block(slice(start, start + len(rows)), rows, weights)


def _rows_of(block: Piece | Block) -> Array:
    return block.rows


def _answers(task: Callable[[Block], S], part: Block, size: int) -> TreeSum:
    """What a task answers for the strips of a part, added up as far as they reach."""
    tree = TreeSum()
    with single_threaded_blas(), np.errstate(under="ignore"):
        for strip in part.cut(size):
            tree.put(strip.position.start // size, task(strip))
    return tree


def _together(trees: Sequence[TreeSum]) -> TreeSum:
    """Of several parts. Sums are made in place, and an answer may be asked for again: so of copies."""
    first, *others = deepcopy(trees)
    for other in others:
        first.join(other)
    return first


def lazily(X: Any, function: Callable[[Array], Array]) -> Any:
    """What a function of rows says of each row of a Dask collection, as a Dask array that nobody has computed yet."""
    array = X.to_dask_array() if hasattr(X, "to_dask_array") else X
    array = array.rechunk({1: -1})
    one = function(np.zeros((1, array.shape[1]), np.float32 if array.dtype == np.float32 else np.float64))
    per_row = partial(_per_row, function)
    if one.ndim == 1:
        return array.map_blocks(per_row, drop_axis=1, dtype=one.dtype, meta=one[:0])
    return array.map_blocks(per_row, chunks=(array.chunks[0], one.shape[1:]), dtype=one.dtype, meta=one[:0])


def _per_row(function: Callable[[Array], Array], chunk: Any) -> Array:
    return function(numbers(chunk))
