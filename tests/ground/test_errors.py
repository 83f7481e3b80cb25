"""The errors are a family, and each is also what Python would have raised."""

import pickle

import pytest

from mixtura.ground import errors

KINDS = {
    "InvalidParameterError": ValueError,
    "DataError": ValueError,
    "CollapseError": ValueError,
    "UnknownEvidenceError": ArithmeticError,
    "ModelFileError": ValueError,
    "MissingExtraError": ImportError,
}


@pytest.mark.parametrize("name", KINDS)
def test_each_error_is_one_of_ours_and_one_of_pythons(name):
    kind = getattr(errors, name)
    assert issubclass(kind, errors.MixturaError)
    assert issubclass(kind, KINDS[name])
    again = pickle.loads(pickle.dumps(kind("what happened")))
    assert (type(again), str(again)) == (kind, "what happened")


def test_a_missing_extra_names_the_command_that_brings_it():
    error = errors.missing_extra("Plots", "plot")
    assert isinstance(error, errors.MissingExtraError)
    assert str(error) == 'Plots need an optional library: pip install "mixtura[plot]"'
