"""A few hundred of the random fits of ``fuzz.py`` keep its law; ``python -m bench.fuzz`` holds thousands to it."""

import pytest

from fuzz import draw, judge_in_time

N_BLOCKS, N_CASES = 10, 30


@pytest.mark.parametrize("block", range(N_BLOCKS))
def test_a_result_or_a_sentence(seed, block):
    """Cases ``seed`` to ``seed + 299``: ``python -m bench.fuzz --seed 123 --fits 1 --reduce`` looks into one that fails."""
    first = seed + block * N_CASES
    broken = [
        f"{number}: {finding.what} at {finding.place}: {finding.said}"
        for number in range(first, first + N_CASES)
        for finding in judge_in_time(draw(number), number).findings
    ]
    assert not broken, "\n".join(broken)
