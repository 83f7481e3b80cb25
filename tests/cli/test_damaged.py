"""Damaged models: one sentence or a right answer. ``python -m bench.damaged`` takes thousands of them."""

from pathlib import Path

import pytest

from damaged_models import damaged_model, findings_of, judge_model


@pytest.mark.parametrize("seed", range(0, 150, 50))
def test_damaged_models(seed: int, tmp_path: Path) -> None:
    """Models ``seed`` to ``seed + 49``."""
    judged = {i: judge_model(i, tmp_path) for i in range(seed, seed + 50)}
    assert {i: one.broken for i, one in judged.items() if one.broken} == {}
    assert 5 < sum(one.was_read for one in judged.values()) < 45


@pytest.mark.parametrize("seed", [18, 770, 2840])
def test_models_that_once_got_the_better_of_a_command(seed: int, tmp_path: Path) -> None:
    assert list(findings_of(damaged_model(seed), tmp_path)) == []
