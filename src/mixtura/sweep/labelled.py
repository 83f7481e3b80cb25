"""Passes that draw the component of each row, and draw it again whenever somebody asks.

Random numbers are keyed by the position of a row, so labels follow from mixtures and keys to the last bit, wherever the rows are. Nobody
has to keep them: what is kept is the recipe by which they are drawn, and what has become of them since.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from mixtura.data.source import Block, Sum
from mixtura.model.scorer import Scorer
from mixtura.sweep.assign import Sampled
from mixtura.sweep.kernels import Member, Totals
from mixtura.sweep.passes import StripTotals, Sweep, Swept, of_the_living
from mixtura.sweep.with_compiled import CompiledTotals

Labels = NDArray[np.int32]
S = TypeVar("S", bound=Sum)


class Drawing(NamedTuple):
    """How components of all rows are drawn under some mixtures.

    They are drawn again under all of them, since last digits of a product depend on the company of a row in it.

    Attributes
    ----------
    scorers : sequence of Scorer
    assignments : sequence of Sampled
    """

    scorers: Sequence[Scorer]
    assignments: Sequence[Sampled]


class Step(Protocol):
    """What becomes of labels after they were drawn."""

    def __call__(self, strip: Block, labels: Labels) -> Labels:
        """The labels of a strip from those before."""


@dataclass(frozen=True, eq=False)
class Renamed:
    """Components are called otherwise, or two of them alike.

    Attributes
    ----------
    names : (K,) integer array
    """

    names: Labels

    def __call__(self, strip: Block, labels: Labels) -> Labels:
        return self.names[labels]


class Recipe(NamedTuple):
    """The labels of one mixture of a drawing, and what has become of them since."""

    drawing: Drawing
    place: int
    steps: tuple[Step, ...] = ()

    def then(self, step: Step) -> Recipe:
        """With one step more."""
        return self._replace(steps=(*self.steps, step))


class LabelledSweep(Sweep):
    """Passes over one source that know the component of each row.

    Parameters
    ----------
    source : Source

    Examples
    --------
    >>> import numpy as np
    >>> import mixtura as mx
    >>> from mixtura.data.array import ArraySource
    >>> from mixtura.sweep import Sampled
    >>> from mixtura.sweep.labelled import Drawing, LabelledSweep
    >>> mixture = mx.Mixture([0.5, 0.5], [[0.0], [99.0]], [1.0, 1.0], "spherical")
    >>> with LabelledSweep(ArraySource(np.array([[0.0], [98.0], [1.0]]))) as sweep:
    ...     _, labels = sweep.drawn(Drawing([mixture.scorer], [Sampled(np.zeros(2, np.uint64))]), np.array([1, 2]))
    >>> labels.tolist()
    [[1, 0]]
    """

    def drawn(self, drawing: Drawing, places: NDArray[np.intp]) -> tuple[list[Swept], Labels]:
        """Visit every row once for all of the mixtures, and tell the labels ``(R, M)`` of the rows at some places, which ascend."""
        kernels = self._engine.sums(_members(drawing))
        task = _Drawn(_StripLabels(self._task(kernels), len(drawing.scorers)), places)
        found = self._reduced(task, self.source.strip_rows, self._work(kernels))
        swept = self._brought_back(_members(drawing), drawing.scorers, kernels, found.totals.of_kernels)
        return [swept[i] for i in range(len(swept))], np.concatenate(found.labels, axis=1)

    def again(self, recipes: Sequence[Recipe], task: Callable[[Block, list[Labels]], S]) -> S:
        """The sum of what a task answers for strips and the labels of each recipe there."""
        drawings = {id(recipe.drawing): recipe.drawing for recipe in recipes}
        kernels = [self._engine.sums(_members(drawing)) for drawing in drawings.values()]
        each = zip(kernels, drawings.values(), strict=True)
        strips = [_StripLabels(self._task(own), len(drawing.scorers)) for own, drawing in each]
        order = list(drawings)
        places = [(order.index(id(recipe.drawing)), recipe.place) for recipe in recipes]
        whole = _Again(strips, places, [recipe.steps for recipe in recipes], task)
        return self._reduced(whole, self.source.strip_rows, sum(map(self._work, kernels)))


def _members(drawing: Drawing) -> list[Member]:
    each = enumerate(zip(drawing.scorers, drawing.assignments, strict=True))
    return [of_the_living(i, scorer, assignment) for i, (scorer, assignment) in each]


@dataclass(frozen=True, eq=False)
class _StripLabels:
    """Totals of a strip, and the components that its rows are given, ``(R, B)``."""

    totals: StripTotals | CompiledTotals
    n_mixtures: int

    def __call__(self, strip: Block) -> tuple[Totals, Labels]:
        labels = np.empty((self.n_mixtures, len(strip.rows)), np.int32)
        return self.totals.onto(labels, strip.position.start)(strip), labels


@dataclass(eq=False)
class _Told:
    """Totals, and labels from one strip after another."""

    totals: Totals
    labels: list[Labels]

    def __iadd__(self, other: _Told) -> Self:
        self.totals += other.totals
        self.labels += other.labels
        return self


@dataclass(frozen=True, eq=False)
class _Drawn:
    """The task of drawing labels, and of telling those of some rows."""

    strip: _StripLabels
    places: NDArray[np.intp]

    def __call__(self, strip: Block) -> _Told:
        totals, labels = self.strip(strip)
        return _Told(totals, [labels[:, strip.own(self.places)]])


@dataclass(frozen=True, eq=False)
class _Again(Generic[S]):
    """The task of drawing labels again, and of doing something with them."""

    drawings: Sequence[_StripLabels]
    places: Sequence[tuple[int, int]]
    steps: Sequence[tuple[Step, ...]]
    task: Callable[[Block, list[Labels]], S]

    def __call__(self, strip: Block) -> S:
        drawn = [drawing(strip)[1] for drawing in self.drawings]
        each = list[Labels]()
        for (drawing, place), steps in zip(self.places, self.steps, strict=True):
            labels = drawn[drawing][place]
            for step in steps:
                labels = step(strip, labels)
            each.append(labels)
        return self.task(strip, each)
