"""Some of the damaged files of ``damage.py`` are read, or refused by one sentence; ``python -m bench.damaged`` reads hundreds."""

from pathlib import Path

import pytest

from damage import FILES, judge

N_FILES = 60


@pytest.mark.parametrize("kind", FILES)
def test_a_right_answer_or_a_sentence(kind: str, tmp_path: Path) -> None:
    """``python -m bench.damaged --only npy --seed 20 --files 1`` looks into one that fails."""
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    judged = [judge(kind, seed, tmp_path) for seed in range(N_FILES)]
    broken = {seed: found.broken for seed, found in enumerate(judged) if found.broken}
    assert not broken
    assert any(found.was_read for found in judged)
    assert any(found.sentence for found in judged)
