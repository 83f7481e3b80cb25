"""The container that CONTRIBUTING.md adds as an example."""

import re
import sqlite3
from types import ModuleType

import numpy as np

import mixtura as mx
from mixtura.data import scanning


def test_the_example_of_a_container_is_one(root, monkeypatch):
    (text,) = re.findall(
        r"```python\n# src/mixtura/data/sqlite.py\n(.*?)```", (root / "CONTRIBUTING.md").read_text("utf-8"), re.DOTALL
    )
    sqlite = ModuleType("sqlite")
    exec(compile(text, "sqlite.py", "exec"), sqlite.__dict__)
    monkeypatch.setattr(
        scanning, "CONTAINERS", (scanning.Container(sqlite.is_table, sqlite.read), *scanning.CONTAINERS)
    )
    X = np.random.default_rng(0).normal(size=(25_000, 2)) * [1.0, 5.0]
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE plants (length REAL, width REAL)")
    connection.executemany("INSERT INTO plants VALUES (?, ?)", X.tolist())
    found, expected = (mx.GaussianMixture(2, random_state=0).fit(data) for data in ((connection, "plants"), X))
    assert found.feature_names_in_.tolist() == ["length", "width"]
    np.testing.assert_array_equal(found.means_, expected.means_)
    np.testing.assert_array_equal(np.concatenate(list(found.predict((connection, "plants")))), expected.predict(X))
