"""Importing is cheap: the package is a table of names, and the command line reads its arguments before it imports numpy."""

import json
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version

import pytest

import mixtura

REPORT = "import json, sys; print(json.dumps([sorted(sys.modules)]), file=sys.stderr)"

HELP = """
import sys
from mixtura.cli import main
sys.argv = ["mixtura", *{arguments!r}]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
"""


def loaded_after(code: str) -> set[str]:
    """Top-level names of the modules that a fresh interpreter holds after some code, beyond those that it starts with."""
    done = subprocess.run([sys.executable, "-c", f"{code}\n{REPORT}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])[0]}


def test_import_mixtura_loads_no_library() -> None:
    loaded = loaded_after("import mixtura")
    assert "mixtura" in loaded
    assert not loaded & {"numpy", "scipy", "sklearn", "matplotlib", "pandas", "pyarrow", "click"}


def test_the_model_needs_no_more_than_numpy_and_scipy() -> None:
    loaded = loaded_after("import mixtura; mixtura.Mixture; mixtura.NormalInverseWishart")
    assert "numpy" in loaded
    assert not loaded & {"sklearn", "matplotlib", "pandas", "pyarrow", "click"}


def test_an_estimator_loads_no_drawing() -> None:
    loaded = loaded_after("import mixtura; mixtura.GaussianMixture")
    assert "sklearn" in loaded
    # Not asked of pandas and pyarrow: scikit-learn itself imports pandas where it is installed, and pandas pyarrow.
    assert not loaded & {"matplotlib", "click"}


@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"]])
def test_help_comes_before_numpy(arguments: list[str]) -> None:
    loaded = loaded_after(HELP.format(arguments=arguments))
    assert "click" in loaded
    assert not loaded & {"numpy", "scipy", "sklearn", "matplotlib", "pandas", "pyarrow"}


def test_every_public_name_leads_somewhere() -> None:
    assert set(mixtura.__all__) <= set(dir(mixtura))
    for name, home in mixtura._HOME.items():
        assert getattr(mixtura, name) is getattr(import_module(home), name)
    assert {*mixtura._HOME, "plot", "__version__"} == set(mixtura.__all__)
    assert mixtura.plot is import_module("mixtura.plot")
    assert mixtura.__version__ == version("mixtura")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'mixtura' has no attribute 'GaussianMixtures'"):
        _ = mixtura.GaussianMixtures
