"""What labellings say together, by the definitions: slow, obvious, and for few rows."""

from itertools import combinations

import numpy as np


def coclustering_of_labels(labels):
    """Share of labellings ``(T, N)`` in which two rows have the same label, ``(N, N)``."""
    drawn = np.asarray(labels)
    return (drawn[:, :, None] == drawn[:, None, :]).mean(axis=0)


def entropy(*labels):
    """Of the joint distribution of labellings over the rows, in nats."""
    _, counts = np.unique(np.stack(labels), axis=1, return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def expected_losses(labels, drawn):
    """Mean losses of a partition ``(N,)`` over labellings ``(T, N)``, by the name of the loss."""
    pairs = list(combinations(range(len(labels)), 2))
    wrong = [sum((labels[n] == labels[m]) != (z[n] == z[m]) for n, m in pairs) for z in drawn]
    information = [2 * entropy(labels, z) - entropy(labels) - entropy(z) for z in drawn]
    return {"binder": float(np.mean(wrong)), "variation_of_information": float(np.mean(information))}
