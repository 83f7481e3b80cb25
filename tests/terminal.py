"""Commands at a terminal of their own."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path


def at_terminal(
    arguments: Sequence[str],
    folder: Path,
    *,
    columns: int = 80,
    environment: Mapping[str, str] | None = None,
    code: str = "import mixtura.cli; mixtura.cli.main()",
) -> tuple[int, str]:
    """The exit code of a command, and all that it wrote to its terminal, both streams together."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-c", code, *map(os.fsencode, arguments)]
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**kept, **(environment or {})},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as child:
        os.close(theirs)
        seen = b""
        try:
            while part := os.read(ours, 65536):
                seen += part
        except OSError:  # Linux says so at the end
            pass
        exit_code = child.wait(timeout=300)
    os.close(ours)
    return exit_code, seen.decode("utf-8", "replace").replace("\r\n", "\n")
