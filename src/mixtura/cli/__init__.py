"""Floor 6: the command line ``mixtura``. A command is one file that turns arguments into library calls.

Importing this package loads click and nothing heavier; numpy and its friends are imported inside the commands, so that ``--help`` is quick.
"""

from mixtura.cli.program import main, run

__all__ = ["main", "run"]
