"""How the cells of a table are to be read: what separates them, what a decimal looks like, which values stand for nothing."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property

SEPARATORS = {",": "comma", "\t": "tab", ";": "semicolon", " ": "space", "|": "bar"}
"""Marks by name; the first three are told from the file itself."""
TOLD = (",", "\t", ";")
_GROUPED = r"\d{1,3}(?:[.,'’\s]\d{3})+(?:[.,]\d*)?"
_PLAIN = r"(?:\d+[.,]?\d*|[.,]\d+)"
_SIGN = r"[<>≤≥~≈±+\-−–(\s]*"
_CURRENCY = r"[$€£¥]?"
_NUMBER_LIKE = re.compile(
    rf"{_SIGN}{_CURRENCY}{_SIGN}(?:{_GROUPED}|{_PLAIN})(?:\s*[eE][+\-−]?\d+)?\s*[%‰°€$£¥)]*", re.ASCII
)


@dataclass(frozen=True)
class Reading:
    """What somebody said about a table.

    Attributes
    ----------
    separator : str or None
        Between the cells of a line; ``None``: told from the file.
    decimal : str
        ``"."`` or ``","``.
    missing : tuple of str
        Values that stand for none. A row that holds one in a column that is used is left out.

    Examples
    --------
    >>> from mixtura.cli.reading import Reading
    >>> Reading(decimal=",").number("-5,1"), Reading(missing=("-999",)).cell("-999.0")
    (-5.1, nan)
    """

    separator: str | None = None
    decimal: str = "."
    missing: tuple[str, ...] = ()

    def number(self, text: str) -> float:
        """The finite number that a text is, or a ``ValueError``."""
        written = text
        if self.decimal != ".":
            if "." in text:
                raise ValueError(text)
            written = text.replace(self.decimal, ".")
        value = float(written)
        if "_" in text or not math.isfinite(value):
            raise ValueError(text)
        return value

    def cell(self, text: str) -> float:
        """The number in a cell, NaN where it stands for none, or a ``ValueError``."""
        if text.strip() in self.missing:
            return math.nan
        value = self.number(text)
        return math.nan if value in self.missing_numbers else value

    def is_number(self, text: str) -> bool:
        """Whether a text is a finite number."""
        try:
            self.number(text)
        except ValueError:
            return False
        return True

    def is_missing(self, text: str) -> bool:
        """Whether a cell stands for none."""
        return bool(self.missing) and (
            text in self.missing or (self.is_number(text) and self.number(text) in self.missing_numbers)
        )

    @cached_property
    def missing_numbers(self) -> frozenset[float]:
        """Values that stand for none, as numbers."""
        return frozenset(self.number(text) for text in self.missing if self.is_number(text))

    @cached_property
    def missing_nan(self) -> bool:
        """Whether NaN, which is what an empty cell of an array is, stands for none: if an empty text or any other than a number does."""
        return not all(map(self.is_number, self.missing))


def looks_like_number(text: str) -> bool:
    """Whether a reader would see a number: digits among the marks that people put around them.

    Examples
    --------
    >>> from mixtura.cli.reading import looks_like_number
    >>> [looks_like_number(text) for text in ("5,1", "12.5%", "1 234", "$1,234.50", "2019_03", "1.2.2019", "12a")]
    [True, True, True, True, False, False, False]
    """
    return _NUMBER_LIKE.fullmatch(text) is not None


def shown(value: str) -> str:
    """A cell in quotes, and not at any length."""
    return repr(value if len(value) <= 40 else value[:37] + "...")
