"""The model file: exact there and back, refused in one clear sentence when damaged, and written whole or not at all."""

import contextlib
import json
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mixtura.ground.errors import InvalidParameterError, ModelFileError
from mixtura.model.covariance import STRUCTURES
from mixtura.model.document import Document, from_json, read_document, to_json, write_document
from mixtura.model.mixture import Mixture

NAMES = [s.name for s in STRUCTURES]
every_type = pytest.mark.parametrize("name", NAMES)
in_a_folder = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])

PAIR = Mixture([0.25, 0.75], [[0.0, 1.0], [2.0, 3.0]], [[[1.0, 0.5], [0.5, 2.0]], [[3.0, 0.0], [0.0, 1e-3]]])
SCHEMA = json.loads(resources.files("mixtura.model").joinpath("mixture.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def bits(mixture):
    """Every number to the last bit: ``==`` would let a minus zero pass."""
    return [np.ascontiguousarray(part).tobytes() for part in (mixture.weights, mixture.means, mixture.covariances)]


# Any double, the smallest and the largest included; and variances from the smallest normal number up.
ANY = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True)
VARIANCE = st.floats(min_value=5e-324, allow_infinity=False, allow_subnormal=True)
SPREAD = st.floats(min_value=1e-150, max_value=1e150)


@st.composite
def mixtures(draw, name):
    n_components, n_features = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    weights = draw(arrays(np.float64, n_components, elements=st.floats(0.0, 1.0)))
    weights = weights / weights.sum() if weights.sum() > 0 else np.eye(n_components)[0]
    means = draw(arrays(np.float64, (n_components, n_features), elements=ANY))
    structure = next(s for s in STRUCTURES if s.name == name)
    shape = structure.shape(n_components, n_features)
    if structure.diagonal:
        covariances = draw(arrays(np.float64, shape, elements=VARIANCE))
    else:
        spread = draw(arrays(np.float64, shape[:-1], elements=SPREAD))
        tilt = draw(st.floats(-0.4, 0.9))
        correlation = np.eye(n_features) + tilt * (1 - np.eye(n_features))
        covariances = spread[..., :, None] * spread[..., None, :] * correlation
    names = draw(st.none() | st.lists(st.text(), min_size=n_features, max_size=n_features))
    return Mixture(weights, means, covariances, name, feature_names=names)


# ---- there and back ------------------------------------------------------------------------------------------------------------------


@every_type
def test_every_bit_survives_the_file(name, tmp_path):
    @in_a_folder
    @given(mixture=mixtures(name))
    def check(mixture):
        path = tmp_path / "model.json"
        mixture.save(path)
        again = Mixture.load(path)
        assert again == mixture
        assert bits(again) == bits(mixture)
        assert again.structure is mixture.structure
        VALIDATOR.validate(json.loads(path.read_text(encoding="utf-8")))

    check()


def test_the_hardest_numbers_are_among_them(tmp_path):
    extremes = [
        5e-324,
        -5e-324,
        2.2250738585072014e-308,
        1.7976931348623157e308,
        -1.7976931348623157e308,
        -0.0,
        0.1,
        1 / 3,
    ]
    mixture = Mixture(
        np.full(8, 0.125), np.array(extremes)[:, None], [5e-324, 1e-310, 1e-300, 0.1, 1, 3, 1e300, 1.7e308], "VII"
    )
    mixture.save(tmp_path / "model.json")
    assert bits(Mixture.load(tmp_path / "model.json")) == bits(mixture)


NAMES_OF_COLUMNS = ["a", "Größe · μ²", "line\nbreak", 'quote " and \\', "", "\x00", "\u2028", "😀", "nan"]


@pytest.mark.parametrize("column", NAMES_OF_COLUMNS, ids=ascii)
def test_column_names_survive_the_file(column, tmp_path):
    mixture = PAIR.with_feature_names([column, "other"])
    mixture.save(tmp_path / "model.json")
    assert Mixture.load(tmp_path / "model.json").feature_names == (column, "other")


def test_a_name_that_is_not_valid_text_is_refused_clearly(tmp_path):
    """A lone surrogate, such as ``os.fsdecode`` makes of a byte that is not UTF-8: no table could be written under it."""
    with pytest.raises(InvalidParameterError, match=r"'\\udcff' is not: it cannot be written as UTF-8"):
        PAIR.with_feature_names(["\udcff", "b"])
    path = tmp_path / "model.json"
    PAIR.with_feature_names(["a", "b"]).save(path)
    path.write_text(path.read_text().replace('"a"', r'"\udcff"'))
    with pytest.raises(ModelFileError, match=r"model.json is damaged: feature_names .* '\\udcff'"):
        Mixture.load(path)


def test_facts_of_the_fit_travel_along(tmp_path):
    fit = {"n_rows": 272, "log_likelihood": -1130.2639601847, "stopped": "converged", "path": [1.0, 0.1], "none": None}
    write_document(tmp_path / "model.json", PAIR, fit)
    document = read_document(tmp_path / "model.json", Mixture)
    assert document == Document(PAIR, fit)
    VALIDATOR.validate(json.loads((tmp_path / "model.json").read_text(encoding="utf-8")))


def test_writing_is_repeatable_and_reading_leaves_the_text_as_it_was():
    text = to_json(Document(PAIR, {"a": 1}))
    assert to_json(from_json(text, "memory", Mixture)) == text
    assert text.endswith("}\n")


def test_paths_may_be_text_or_path_objects(tmp_path):
    PAIR.save(str(tmp_path / "a.json"))
    PAIR.save(tmp_path / "no suffix")
    assert Mixture.load(tmp_path / "a.json") == Mixture.load(str(tmp_path / "no suffix")) == PAIR


def test_fields_of_no_concern_are_passed_over():
    content = {**json.loads(to_json(Document(PAIR))), "made_by": "hand"}
    assert from_json(json.dumps(content), "memory", Mixture).mixture == PAIR


# ---- the schema ------------------------------------------------------------------------------------------------------------------------


def test_the_schema_is_a_schema_and_knows_every_structure():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["covariance_type"]["enum"] == NAMES


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"version": 2},
        {"version": "1"},
        {"covariance_type": "VVV"},
        {"weights": []},
        {"weights": ["0.5", "0.5"]},
        {"means": [0.0, 1.0]},
        {"covariances": "1"},
        {"covariances": [[[[1.0]]]]},
        {"feature_names": "ab"},
        {"feature_names": [1, 2]},
        {"fit": []},
    ],
    ids=str,
)
def test_the_schema_refuses_what_the_reader_refuses(change):
    content = {**json.loads(to_json(Document(PAIR))), **change}
    assert not VALIDATOR.is_valid(content)
    if change != {"covariance_type": "VVV"}:
        with pytest.raises(ModelFileError):
            from_json(json.dumps(content), "memory", Mixture)


# ---- damaged files -----------------------------------------------------------------------------------------------------------------------


def changed(**change):
    return json.dumps({**json.loads(to_json(Document(PAIR))), **change}).encode()


def without(key):
    content = json.loads(to_json(Document(PAIR)))
    del content[key]
    return json.dumps(content).encode()


WHOLE = to_json(Document(PAIR)).encode()
DAMAGED = {
    "empty": (b"", "not valid JSON"),
    "blank": (b" \n", "not valid JSON"),
    "binary": (bytes(range(256)), "not text"),
    "utf-16": (WHOLE.decode().encode("utf-16"), "not text"),
    "a pickle": (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00]", "not text"),
    "prose": (b"Dear reader,", "not valid JSON"),
    "csv": (b"eruptions,waiting\n3.6,79\n", "not valid JSON"),
    "two documents": (WHOLE + WHOLE, "not valid JSON"),
    "a list": (b"[1, 2]", "format"),
    "a number": (b"1", "format"),
    "null": (b"null", "format"),
    "deeply nested": (b"[" * 100_000, "not a mixtura model"),
    "a deeply nested field": (b'{"format": ' + b"[" * 100_000, "not a mixtura model"),
    "too many digits": (b"1" * 10_000, "not a mixtura model"),
    "foreign": (b'{"weights": [1.0]}', "format"),
    "another format": (changed(format="mixtura.posterior"), "format"),
    "newer": (changed(version=2), "version 2; this mixtura reads up to version 1. Upgrade"),
    "version as text": (changed(version="1"), "version is '1'"),
    "version as truth": (changed(version=True), "version is True"),
    "version zero": (changed(version=0), "version is 0"),
    "no version": (without("version"), "version is None"),
    "no weights": (without("weights"), "lacks weights"),
    "no means": (without("means"), "lacks means"),
    "no covariances": (without("covariances"), "lacks covariances"),
    "no covariance type": (without("covariance_type"), "lacks covariance_type"),
    "unknown covariance type": (changed(covariance_type="fuller"), "fuller"),
    "covariance type a list": (changed(covariance_type=["full"]), "covariance_type"),
    "weights that do not sum to 1": (changed(weights=[0.25, 0.7]), "sum to 1"),
    "weights null": (changed(weights=None), "weights"),
    "weights as text": (changed(weights=["0.25", "0.75"]), "weights"),
    "weights as truths": (changed(weights=[True, False]), "weights"),
    "weights NaN": (changed(weights=[float("nan"), 1.0]), "NaN|weights must be finite; got nan"),
    "means infinite": (changed(means=[[0, 1], [2, float("inf")]]), "Infinity|means must be finite; got inf"),
    "means too large for a double": (WHOLE.replace(b"3.0", b"1e999", 1), "finite"),
    "means a huge integer": (changed(means=[[0, 1], [2, 10**400]]), "means"),
    "means ragged": (changed(means=[[0, 1], [2]]), "means"),
    "means an object": (changed(means={"a": 1}), "means"),
    "one mean": (changed(means=[[0, 1]]), "means"),
    "covariances of another type": (changed(covariances=[[1.0, 1.0], [1.0, 1.0]]), r"\(2, 2, 2\)"),
    "covariances not symmetric": (changed(covariances=[[[1, 0.5], [0, 1]], [[1, 0], [0, 1]]]), "symmetric"),
    "covariances not positive": (changed(covariances=[[[1, 2], [2, 1]], [[1, 0], [0, 1]]]), "positive definite"),
    "a lone singular component": (
        changed(weights=[1.0], means=[[0, 0]], covariances=[[[1, 1], [1, 1]]]),
        "positive definite",
    ),
    "too few names": (changed(feature_names=["a"]), "feature_names"),
    "names that are numbers": (changed(feature_names=[1, 2]), "feature_names"),
    "names in one text": (changed(feature_names="ab"), "feature_names"),
    "fit a list": (changed(fit=[1]), "fit"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_file_is_refused_in_one_line_that_names_it(kind, tmp_path):
    content, said = DAMAGED[kind]
    path = tmp_path / "model.json"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=said) as caught:
        Mixture.load(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "model.json"
    for length in range(len(WHOLE) - 2):
        path.write_bytes(WHOLE[:length])
        with pytest.raises(ModelFileError):
            Mixture.load(path)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(width=32) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


@settings(max_examples=100)
@given(key=st.sampled_from([*json.loads(WHOLE)]), junk=JUNK)
def test_junk_in_any_field_is_refused_and_nothing_else_goes_wrong(key, junk):
    """Or happens to be a mixture; what may not happen is another kind of error."""
    with contextlib.suppress(ModelFileError):
        assert isinstance(from_json(changed(**{key: junk}).decode(), "memory", Mixture).mixture, Mixture)


@in_a_folder
@given(place=st.integers(0, len(WHOLE) - 1), byte=st.integers(0, 255))
def test_a_flipped_byte_is_refused_or_harmless(tmp_path, place, byte):
    path = tmp_path / "model.json"
    path.write_bytes(WHOLE[:place] + bytes([byte]) + WHOLE[place + 1 :])
    with contextlib.suppress(ModelFileError):
        assert isinstance(Mixture.load(path), Mixture)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Mixture.load(tmp_path / "nowhere.json")


# ---- whole or not at all -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", [OSError, KeyboardInterrupt], ids=["full disk", "interrupt"])
def test_a_save_that_fails_half_way_leaves_the_old_file_and_no_other(problem, tmp_path, monkeypatch):
    path = tmp_path / "model.json"
    PAIR.save(path)
    before = path.read_bytes()
    write_text = Path.write_text

    def write_half(self, text, **kwargs):
        write_text(self, text[: len(text) // 2], **kwargs)
        raise problem

    monkeypatch.setattr(Path, "write_text", write_half)
    with pytest.raises(problem):
        PAIR.reorder([1, 0]).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.json"]


def test_a_fit_that_cannot_be_written_touches_nothing(tmp_path):
    path = tmp_path / "model.json"
    PAIR.save(path)
    before = path.read_bytes()
    with pytest.raises((ValueError, TypeError)):
        write_document(path, PAIR, {"log_likelihood": float("nan")})
    with pytest.raises((ValueError, TypeError)):
        write_document(path, PAIR, {"model": object()})
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.json"]


def test_a_process_that_dies_while_saving_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.json"
    PAIR.save(path)
    before = path.read_bytes()
    script = (
        "import os, sys\n"
        "from mixtura.ground.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os._exit(9)\n"
    )
    source = str(Path(sys.modules["mixtura"].__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([source, os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-c", script, str(path)], env=environment, check=False, timeout=60)
    assert done.returncode == 9
    assert path.read_bytes() == before
    assert Mixture.load(path) == PAIR
