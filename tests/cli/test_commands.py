"""What the commands answer."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mixtura.assess.describe import describe
from mixtura.assess.draws.draws_file import load_draws
from mixtura.model.document import read_document
from mixtura.model.mixture import Mixture

Cli = Callable[..., object]
QUICK = ("--components", "1:2", "--restarts", "2")


def table_of(text: str) -> tuple[list[str], np.ndarray]:
    header, *rows = csv.reader(io.StringIO(text))
    return header, np.array(rows, dtype=float)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if matplotlib were not installed."""
    monkeypatch.setattr("mixtura.cli.fit.can_draw", lambda: False)
    monkeypatch.setattr("mixtura.cli.outputs.can_draw", lambda: False)


def test_fit_writes_model_and_picture(cli: Cli, folder: Path, faithful_csv: Path) -> None:
    pytest.importorskip("matplotlib")
    done = cli("fit", faithful_csv, *QUICK)
    assert (done.code, done.err) == (0, "")
    assert sorted(path.name for path in folder.iterdir()) == ["faithful.mixture.json", "faithful.mixture.png"]
    assert (folder / "faithful.mixture.png").read_bytes().startswith(b"\x89PNG")
    document = read_document("faithful.mixture.json", Mixture)
    assert document.mixture.n_components == 2
    assert document.mixture.feature_names == ("eruptions", "waiting")
    assert document.mixture.weights[0] > document.mixture.weights[1]
    assert document.fit["rows"] == 272
    assert document.fit["data"] == "faithful.csv"
    assert document.fit["log_likelihood"] == pytest.approx(-1130.26396, abs=1e-4)
    assert describe(document.mixture, document.fit) in done.out
    assert cli("describe", "faithful.mixture.json").out == describe(document.mixture, document.fit) + "\n"


@pytest.mark.usefixtures("undrawn")
def test_fit_without_matplotlib(cli: Cli, folder: Path, faithful_csv: Path) -> None:
    done = cli("fit", faithful_csv, "--components", 1, "--restarts", 1)
    assert done.code == 0
    assert 'No picture: that needs matplotlib, pip install "mixtura[plot]"' in done.out.splitlines()
    assert [path.name for path in folder.iterdir()] == ["faithful.mixture.json"]
    assert 'pip install "mixtura[plot]"' in cli("fit", "missing.csv", "--plot", "p.png").complaint
    assert 'pip install "mixtura[plot]"' in cli("plot", "faithful.mixture.json").complaint


@pytest.mark.usefixtures("undrawn")
def test_fit_is_repeatable_and_obeys_its_options(cli: Cli, folder: Path, faithful_csv: Path) -> None:
    options = ("--covariance", "EEE,diag", "--criterion", "aic", "--columns", "waiting", "--seed", 3, *QUICK)
    for name in ("a.json", "b.json"):
        assert cli("fit", faithful_csv, *options, "--out", name).code == 0
    assert (folder / "a.json").read_text() == (folder / "b.json").read_text()
    content = json.loads((folder / "a.json").read_text())
    assert content["feature_names"] == ["waiting"]
    assert content["fit"]["criterion"] == "aic"
    assert content["fit"]["seed"] == 3
    tried = [(c["covariance_type"], c["n_components"]) for c in content["fit"]["candidates"]]
    assert tried == [("tied", 1), ("tied", 2), ("diag", 1), ("diag", 2)]
    lowest = min(content["fit"]["candidates"], key=lambda c: c["aic"])
    assert len(content["weights"]) == lowest["n_components"]


@pytest.mark.usefixtures("undrawn")
def test_all_structures(cli: Cli, faithful_csv: Path) -> None:
    done = cli("fit", faithful_csv, "--components", 1, "--covariance", "all", "--restarts", 1)
    assert done.code == 0
    for name in ("full", "tied", "diag", "tied_diag", "spherical", "tied_spherical"):
        assert name in done.out.splitlines()[1]


@pytest.mark.usefixtures("undrawn")
def test_fit_replaces_what_a_link_points_to(cli: Cli, folder: Path, faithful_csv: Path) -> None:
    (folder / "old.json").write_text("old")
    (folder / "link.json").symlink_to("old.json")
    assert cli("fit", faithful_csv, "--components", 1, "--restarts", 1, "--out", "link.json").code == 0
    assert (folder / "link.json").is_symlink()
    assert read_document("old.json", Mixture).mixture.n_components == 1


def test_predict(cli: Cli, model: Path, faithful_csv: Path, faithful: np.ndarray) -> None:
    mixture = Mixture.load(model)
    header, rows = table_of(cli("predict", model, faithful_csv).out)
    assert header == ["label"]
    assert np.array_equal(rows[:, 0], mixture.predict(faithful))
    header, rows = table_of(cli("predict", model, faithful_csv, "--proba").out)
    assert header == ["label", "responsibility_0", "responsibility_1"]
    assert np.array_equal(rows[:, 1:], mixture.responsibilities(faithful))


def test_columns_are_found_by_name(
    cli: Cli, folder: Path, model: Path, faithful_csv: Path, faithful: np.ndarray
) -> None:
    lines = [f"x,{float(row[1])!r},7,{float(row[0])!r}" for row in faithful]
    (folder / "moved.csv").write_text("\n".join(["name,waiting,day,eruptions", *lines]))
    assert cli("predict", model, "moved.csv").out == cli("predict", model, faithful_csv).out
    np.save(folder / "data.npy", faithful)
    assert cli("predict", model, "data.npy").out == cli("predict", model, faithful_csv).out


def test_a_model_without_names_takes_the_numeric_columns(
    cli: Cli, folder: Path, model: Path, faithful_csv: Path
) -> None:
    Mixture.load(model).with_feature_names(None).save("m.json")
    assert cli("predict", "m.json", faithful_csv).out == cli("predict", model, faithful_csv).out
    (folder / "one.csv").write_text("a\n1\n")
    assert "2 columns without names; one.csv has 1 numeric one" in cli("predict", "m.json", "one.csv").complaint


def test_score(cli: Cli, model: Path, faithful_csv: Path, faithful: np.ndarray) -> None:
    mixture = Mixture.load(model)
    header, *rows = csv.reader(io.StringIO(cli("score", model, faithful_csv).out))
    assert header == ["quantity", "value"]
    values = {name: float(value) for name, value in rows}
    log_likelihood = mixture.log_likelihood(faithful)
    assert values["rows"] == 272
    assert values["log_likelihood"] == pytest.approx(log_likelihood, rel=1e-12)
    assert values["log_likelihood_per_row"] == pytest.approx(log_likelihood / 272, rel=1e-12)
    assert values["aic"] == pytest.approx(-2 * log_likelihood + 22, rel=1e-12)
    assert values["bic"] == pytest.approx(-2 * log_likelihood + 11 * np.log(272), rel=1e-12)
    header, densities = table_of(cli("score", model, faithful_csv, "--rows").out)
    assert header == ["log_density"]
    assert np.array_equal(densities[:, 0], mixture.log_pdf(faithful))


def test_sample(cli: Cli, folder: Path, model: Path) -> None:
    X, labels = Mixture.load(model).sample(20, random_state=7)
    header, rows = table_of(cli("sample", model, 20, "--seed", 7, "--labels").out)
    assert header == ["eruptions", "waiting", "label"]
    assert np.array_equal(rows, np.column_stack([X, labels]))
    done = cli("sample", model, 20, "--seed", 7, "--out", "s.csv")
    assert (done.code, done.out) == (0, "")
    assert np.array_equal(table_of((folder / "s.csv").read_text())[1], X)


def test_plot(cli: Cli, folder: Path, model: Path, faithful_csv: Path) -> None:
    pytest.importorskip("matplotlib")
    assert cli("plot", model, faithful_csv, "--out", "a.svg").code == 0
    assert "<svg" in (folder / "a.svg").read_text()
    assert cli("plot", model).out == "Picture in faithful.mixture.png\n"
    assert (folder / "faithful.mixture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("command", ["fit", "predict", "score", "sample", "describe", "plot"])
def test_every_help_has_an_example(command: str, cli: Cli) -> None:
    done = cli(command, "--help")
    assert done.code == 0
    assert f"    mixtura {command} " in done.out


def test_no_command_is_help(cli: Cli) -> None:
    assert cli().out == cli("--help").out
    assert "mixtura fit faithful.csv" in cli().out


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("solver", ["cavi", "svi"])
def test_fit_a_posterior(cli: Cli, folder: Path, faithful_csv: Path, solver: str) -> None:
    done = cli("fit", faithful_csv, "--components", 6, "--solver", solver, "--restarts", 2)
    assert (done.code, done.err) == (0, "")
    document = read_document("faithful.mixture.json", Mixture)
    assert document.mixture.n_components == 2  # of six: the others were left empty
    assert document.mixture.weights[0] > document.mixture.weights[1]
    found = document.fit["posterior"]
    for (low, high), weight in zip(zip(*found["weights"], strict=True), document.mixture.weights, strict=True):
        assert low < weight < high
        assert high - low == pytest.approx(2 * 1.96 * np.sqrt(weight * (1 - weight) / 272), rel=0.03)
    assert "2 of at most 6 components hold rows" in done.out
    assert "95 % interval" in done.out
    assert cli("describe", "faithful.mixture.json").out == describe(document.mixture, document.fit) + "\n"


def test_a_posterior_is_of_one_structure(cli: Cli, folder: Path, faithful_csv: Path) -> None:
    complaint = cli("fit", faithful_csv, "--solver", "cavi", "--covariance", "full,tied").complaint
    assert "--solver cavi fits one covariance structure; got full, tied" in complaint
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("solver", ["gibbs", "nuts"])
def test_fit_chains(cli: Cli, folder: Path, faithful_csv: Path, solver: str, seed: int) -> None:
    if solver == "nuts":
        pytest.importorskip("nutpie")
    size = (
        "1:2" if solver == "gibbs" else "2"
    )  # a third component holds rows in anything between no and half of the draws
    how = ("--solver", solver, "--draws", 100, "--chains", 2, "--restarts", 1, "--seed", seed)
    how += ("--target-accept", 0.8) if solver == "nuts" else ()
    done = cli("fit", faithful_csv, "--components", size, *how, "--draws-out", "draws.npz")
    assert (done.code, done.err) == (0, "")
    document = read_document("faithful.mixture.json", Mixture)
    found = document.fit["draws"]
    assert document.mixture.n_components == 2
    np.testing.assert_allclose(document.mixture.weights, [0.644, 0.356], atol=0.03)
    assert "2 chains of 100 draws" in done.out
    for (low, high), weight in zip(
        zip(*found["components"]["weights"][1:], strict=True), document.mixture.weights, strict=True
    ):
        assert low < weight < high
    saved = load_draws("draws.npz")
    assert saved.draws.weights.shape[:2] == (2, 100)
    assert saved.feature_names == ("eruptions", "waiting")
    assert "Draws in draws.npz" in done.out
    assert sum(found["n_components"].values()) == pytest.approx(1)
    assert max(found["n_components"], key=found["n_components"].get) == "2"
    assert found["verdict"]
    assert "Agreement of the chains" not in done.out
    assert cli("describe", "faithful.mixture.json").out == describe(document.mixture, document.fit) + "\n"
    assert "Agreement of the chains" in cli("describe", "faithful.mixture.json", "--verbose").out


@pytest.mark.usefixtures("undrawn")
def test_components_that_cannot_be_told_apart_leave_a_model_all_the_same(
    cli: Cli, folder: Path, tmp_path: Path, seed: int
) -> None:
    noise = tmp_path / "noise.csv"
    np.savetxt(noise, np.random.default_rng(0).normal(size=(60, 1)), header="x", comments="")
    how = ("--solver", "gibbs", "--draws", 200, "--chains", 2, "--seed", seed, "--draws-out", "draws.npz")
    done = cli("fit", noise, "--components", 3, *how)
    assert (done.code, done.err) == (0, "")
    document = read_document("noise.mixture.json", Mixture)
    assert document.fit["draws"]["failure_rate"] > 0.1
    assert len(document.fit["draws"]["groups"]) == document.mixture.n_components
    assert "Weights and means" in done.out
    assert "components" not in document.fit["draws"]
    assert load_draws("draws.npz").draws.n_components == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("draws.csv", "the ending of the name says the format of the draws; use .nc or .npz"),
        ("nowhere/draws.npz", "cannot write 'nowhere/draws.npz'"),
        ("same.npz", "--out and --draws-out are the same file 'same.npz'"),
    ],
)
def test_a_file_of_draws_that_cannot_be_written_is_refused_before_anything_is_done(
    cli: Cli, folder: Path, faithful_csv: Path, name: str, words: str
) -> None:
    done = cli("fit", faithful_csv, "--solver", "gibbs", "--components", 2, "--out", "same.npz", "--draws-out", name)
    assert words in done.complaint
    assert list(folder.iterdir()) == []


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "'=1+1", "''-x", "'tis", "plain", "a=b"]


@pytest.mark.usefixtures("undrawn")
def test_names_that_a_spreadsheet_would_run_are_guarded_and_read_back(cli: Cli, folder: Path) -> None:
    names = FORMULAS
    mixture = Mixture(
        [0.5, 0.5], [[0.0] * len(names), [9.0] * len(names)], [1.0, 2.0], "spherical", feature_names=names
    )
    mixture.save("model.json")
    assert cli("sample", "model.json", 50, "--out", "drawn.csv").code == 0
    with open("drawn.csv", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert not [cell for cell in header if cell[0] in "=+-@"]
    assert any(cell[0] == "-" for row in rows for cell in row), "numbers stay numbers"
    assert [cell for cell, name in zip(header, names, strict=True) if cell == name] == ["'tis", "plain", "a=b"]
    assert cli("score", "model.json", "drawn.csv").code == 0
    assert cli("fit", "drawn.csv", "--components", 1, "--out", "again.json").code == 0
    assert read_document("again.json", Mixture).mixture.feature_names == tuple(names)


@pytest.mark.parametrize(
    ("names", "called"),
    [(["a", "b"], "label"), (["label", "b"], "label_2"), (["label_2", "label"], "label_3")],
)
def test_a_column_called_label_keeps_its_name(names: list[str], called: str, cli: Cli, folder: Path) -> None:
    Mixture([1.0], [[0.0, 0.0]], [1.0], "spherical", feature_names=names).save("model.json")
    done = cli("sample", "model.json", 5, "--labels")
    assert table_of(done.out)[0] == [*names, called]
    (folder / "drawn.csv").write_text(done.out)
    assert cli("score", "model.json", "drawn.csv").code == 0
