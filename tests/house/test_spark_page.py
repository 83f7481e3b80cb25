"""The page on Spark stays true, where pyspark is installed and there is a Java that it runs on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import doctest, re, sys
blocks = re.findall(r"```python\\n(.*?)```", open(sys.argv[1], encoding="utf-8").read(), re.DOTALL)
example = doctest.DocTestParser().get_doctest("".join(blocks), {}, "spark.md", "spark.md", 0)
failed, tried = doctest.DocTestRunner().run(example)
sys.exit(failed or not tried)
"""


@pytest.mark.skipif(shutil.which("java") is None, reason="no Java")
def test_all_that_the_page_says(root: Path) -> None:
    pytest.importorskip("pyspark")
    command = [sys.executable, "-W", "ignore", "-c", RUN, str(root / "docs" / "spark.md")]
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout
