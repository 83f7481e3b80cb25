"""matplotlib is optional, imported late and in one file; pyplot is never imported."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mixtura as mx
import mixtura.plot

X = np.array([[0.0], [0.4], [5.0], [5.3], [4.9]])
SOURCES = sorted(Path(mixtura.plot.__file__).parent.glob("*.py"))


@pytest.fixture
def without_matplotlib(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] in {"matplotlib", "PIL"}]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "mixtura.plot._matplotlib", raising=False)


@pytest.mark.parametrize("name", mixtura.plot.__all__)
def test_every_picture_names_the_install_command(name, without_matplotlib, tmp_path):
    gm = mx.GaussianMixture(2, random_state=0, reg_covar=1e-2).fit(X)
    arguments = {
        "trace": (gm,),
        "convergence": ({"em": gm},),
        "criterion": (mx.GaussianMixtureSearch(1, random_state=0).fit(X),),
        "animate": (gm, X, tmp_path / "climb.gif"),
        **dict.fromkeys(("chains", "coclustering", "n_components", "parameters", "weights"), (gm,)),
    }
    with pytest.raises(mx.MissingExtraError, match=r'pip install "mixtura\[plot\]"'):
        getattr(mx.plot, name)(*arguments.get(name, (gm, X)))


def in_new_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_the_pictures_does_not_import_matplotlib():
    assert in_new_process("import sys, mixtura.plot; print('matplotlib' in sys.modules)") == "False"


def test_drawing_does_not_import_pyplot():
    pytest.importorskip("matplotlib")
    code = (
        "import sys, mixtura as mx; m = mx.Mixture([1.0], [[0.0, 0.0]], 1.0, 'EII');"
        "mx.plot.picture(m, m.sample(9, random_state=0)[0])._repr_png_(); print('matplotlib.pyplot' in sys.modules)"
    )
    assert in_new_process(code) == "False"


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_matplotlib_is_imported_in_one_file(path):
    assert ({"matplotlib", "PIL"} & imported(path) == set()) == (path.name != "_matplotlib.py")


def test_every_picture_has_a_runnable_example():
    for name in mixtura.plot.__all__:
        assert ">>>" in getattr(mx.plot, name).__doc__
