"""What is written stays true: docstrings cover their parameters, and the commands that the pages name exist."""

import doctest
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mixtura


def public_objects() -> Iterator[tuple[str, Any]]:
    """Every class and function that a user can name."""
    for name in mixtura.__all__:
        if name not in ("plot", "__version__"):
            yield name, getattr(mixtura, name)
    for name in mixtura.plot.__all__:
        yield f"plot.{name}", getattr(mixtura.plot, name)


OBJECTS = dict(public_objects())
DOCUMENTED = {
    name: thing
    for name, thing in OBJECTS.items()
    if not (inspect.isclass(thing) and issubclass(thing, (Exception, Warning)))
}


def public_methods() -> Iterator[tuple[str, Any]]:
    """The methods that mixtura itself gives its public classes."""
    for name, thing in DOCUMENTED.items():
        if inspect.isclass(thing):
            for method, value in inspect.getmembers(thing, inspect.isroutine):
                if not method.startswith("_") and getattr(value, "__module__", "").startswith("mixtura."):
                    yield f"{name}.{method}", value


METHODS = dict(public_methods())


def undocumented_parameters(thing: Any) -> list[str]:
    """Parameters that the docstring does not list under Parameters."""
    doc = inspect.getdoc(thing) or ""
    _, _, section = doc.partition("Parameters\n----------\n")
    section = re.split(r"\n\n\w[\w ]*\n-+\n", section)[0]
    listed = set()
    for line in section.splitlines():
        if line and not line[0].isspace():
            listed |= {word.strip(" *") for word in line.partition(" : ")[0].split(",")}
    return [name for name in inspect.signature(thing).parameters if name not in listed and name != "self"]


@pytest.mark.parametrize("name", OBJECTS)
def test_every_public_object_says_what_it_is(name: str) -> None:
    doc = OBJECTS[name].__doc__
    assert doc
    assert doc.strip().splitlines()[0].strip().endswith((".", ":"))


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_public_object_lists_its_parameters_and_shows_an_example(name: str) -> None:
    assert undocumented_parameters(DOCUMENTED[name]) == []
    assert "Examples\n--------\n" in inspect.getdoc(DOCUMENTED[name])


@pytest.mark.parametrize("name", METHODS)
def test_every_public_method_says_what_it_does(name: str) -> None:
    assert inspect.getdoc(METHODS[name])


@pytest.mark.parametrize("page", ["README.md", "docs/penalties.md", "docs/priors.md"])
def test_a_page_shows_what_comes_out(page: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    blocks = re.findall(r"```python\n(.*?)```", (root / page).read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        example = doctest.DocTestParser().get_doctest(block, {}, page, page, 0)
        assert doctest.DocTestRunner().run(example).failed == 0


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_that_a_page_names_exists(root: Path, page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.MULTILINE))
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", (root / page).read_text(), re.DOTALL))
    named = set(re.findall(r"\bmake ([a-z-]+)", code))
    assert named
    assert named <= targets


def test_every_file_that_a_page_links_to_exists(root: Path) -> None:
    for page in [*root.glob("*.md"), *root.glob("*/*.md"), root / "tests" / "reference" / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_help_lists_every_target(root: Path) -> None:
    makefile = (root / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split()
    assert sorted(targets) == sorted(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))


def files_in_the_table(page: str) -> list[str]:
    """The files that the first column of a page's tables names; those after the first in a cell stand in its folder."""
    found = []
    for line in page.splitlines():
        folder = ""
        for name in re.findall(r"`([^`]+\.py)`", line.split("|")[1]) if line.startswith("| `") else ():
            folder = name.rpartition("/")[0] if "/" in name else folder
            found.append(f"{folder}/{name.rpartition('/')[2]}".lstrip("/"))
    return found


def test_the_design_page_names_every_file_once(root: Path) -> None:
    """Those that only make a folder a package need no mention."""
    house = root / "src" / "mixtura"
    named = files_in_the_table((root / "docs" / "design.md").read_text(encoding="utf-8"))
    there = {path.relative_to(house).as_posix(): path.read_text(encoding="utf-8") for path in house.rglob("*.py")}
    assert len(named) == len(set(named))
    assert set(named) <= set(there)
    of_folders = {path for path, text in there.items() if path.endswith("/__init__.py") and "\ndef " not in text}
    assert set(there) - set(named) <= of_folders


def test_files_in_a_table_are_read_as_they_are_meant() -> None:
    page = "| file | idea |\n|---|---|\n| `__init__.py` | door |\n| `a/b.py`, `c.py` | two, like `a/d.py` |\ntext `a/e.py` | no |"
    assert files_in_the_table(page) == ["__init__.py", "a/b.py", "a/c.py"]
