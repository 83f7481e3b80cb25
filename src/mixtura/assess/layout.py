"""Plain text in columns: numbers that line up, tables that fit a width, entries with a label, names cut in the middle."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

from mixtura.ground.linalg import Array
from mixtura.ground.text import printable

WIDTH = 100
NAME_WIDTH = 18


def aligned(values: Array, resolution: float) -> list[str]:
    """Numbers of one column with the same decimals, fine enough to tell apart what differs by ``resolution``."""
    largest = max(float(np.abs(values).max()), resolution)
    decimals = max(0, 2 - math.floor(math.log10(resolution)))
    if decimals <= 6 and largest < 1e9:
        return [f"{value:.{decimals}f}" for value in values]
    digits = min(16, max(3, math.floor(math.log10(largest)) - math.floor(math.log10(resolution)) + 2))
    return [f"{value:.{digits}e}" for value in values]


def four_digits(value: float) -> str:
    """Four significant digits, without an exponent where it is no use."""
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    return f"{value:.{max(0, 3 - exponent)}f}" if -4 <= exponent < 7 else f"{value:.3e}"


def count(number: int, noun: str) -> str:
    """``"3 rows"``, ``"1 row"``."""
    return f"{number:d} {noun}{'' if number == 1 else 's'}"


def often(number: int) -> str:
    """``"once"``, ``"3 times"``."""
    return "once" if number == 1 else "twice" if number == 2 else f"{number:d} times"


def short_name(name: str, width: int = NAME_WIDTH) -> str:
    """Long names lose their middle, since they often differ at the end."""
    kept = (width - 2) // 2
    return name if len(name) <= width else f"{name[:kept]}..{name[-kept:]}"


def labelled(label: str, text: str, width: int) -> str:
    """An entry: its label, and beside it the text in as many lines as it takes."""
    return "\n".join(wrapped(text, width, f"{label:<16}", " " * 16))


def wrapped(text: str, width: int, first: str, later: str) -> list[str]:
    """Lines of a text, of which the first and the later ones begin so."""
    words = printable(" ".join(text.split()))
    return textwrap.wrap(words, width, initial_indent=first, subsequent_indent=later, break_on_hyphens=False)


def in_columns(header: Sequence[str], rows: Iterable[Sequence[str]], width: int) -> str:
    """Columns aligned right, the first one left; those that do not fit go into a further table below."""
    cells = [list(map(printable, row)) for row in (header, *rows)]
    widths = [max(map(_breadth, column)) for column in zip(*cells, strict=True)]
    parts: list[list[int]] = [[]]
    for column in range(1, len(header)):
        taken = 2 + widths[0] + sum(2 + widths[c] for c in parts[-1])
        if parts[-1] and taken + 2 + widths[column] > width:
            parts.append([])
        parts[-1].append(column)
    return "\n\n".join("\n".join(_row(row, part, widths) for row in cells) for part in parts)


def _row(cells: Sequence[str], part: Sequence[int], widths: Sequence[int]) -> str:
    first = cells[0] + " " * (widths[0] - _breadth(cells[0]))
    return "  ".join(["", first, *(" " * (widths[c] - _breadth(cells[c])) + cells[c] for c in part)]).rstrip()


def _breadth(text: str) -> int:
    """The columns that a terminal needs: two for Chinese, Japanese and Korean letters, none for accents that combine."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def side_by_side(blocks: Sequence[str], width: int) -> list[str]:
    """Blocks of the same height, as many beside each other as fit."""
    lined = [block.split("\n") for block in blocks]
    broadest = max(_breadth(line) for lines in lined for line in lines)
    at_once = max(1, (width + 2) // (broadest + 2))
    return [
        "\n".join(
            "  ".join(line + " " * (broadest - _breadth(line)) for line in lines).rstrip()
            for lines in zip(*group, strict=True)
        )
        for group in (lined[i : i + at_once] for i in range(0, len(lined), at_once))
    ]
