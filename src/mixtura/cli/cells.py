"""Names in the cells of CSV files: a spreadsheet takes a cell that begins with ``=``, ``+``, ``-`` or ``@`` for a formula, and runs it.

An apostrophe before it, which spreadsheets do not show, says that it is text. Numbers are left alone.
"""

import re

FORMULA = re.compile(r"'*[=+\-@\t\r]")
QUOTED = re.compile(r"''*[=+\-@\t\r]")


def guarded(name: str) -> str:
    """A name as a cell that no spreadsheet runs.

    Examples
    --------
    >>> from mixtura.cli.cells import guarded
    >>> guarded("=1+1"), guarded("weight"), guarded("'-'")
    ("'=1+1", 'weight', "''-'")
    """
    return "'" + name if FORMULA.match(name) else name


def unguarded(cell: str) -> str:
    """The name in a cell.

    Examples
    --------
    >>> from mixtura.cli.cells import guarded, unguarded
    >>> unguarded(guarded("=1+1")), unguarded("'quoted'")
    ('=1+1', "'quoted'")
    """
    return cell[1:] if QUOTED.match(cell) else cell
