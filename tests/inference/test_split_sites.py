"""Where splits and mergers are tried: the probabilities that the ratio of acceptance takes for granted, beside a slow count of them."""

from itertools import combinations

import numpy as np
import pytest

from chance import chi_square
from mixtura.data.array import ArraySource
from mixtura.inference.sampling.affinity import FLOOR
from mixtura.inference.sampling.split_sites import SPLITS, Allocation, Sites, Stack
from mixtura.model.covariance import covariance_structure
from mixtura.model.laws.components import Components
from mixtura.sweep import accumulate

ROWS = np.random.default_rng(0).normal(size=(6, 2))
LABELS = np.array([0, 1, 1, 2, 1, 0], np.int32)
N = len(ROWS)


def components_of(n, seed):
    rng = np.random.default_rng(seed)
    roots = np.tril(rng.normal(size=(n, 2, 2)), -1) + np.eye(2) * rng.uniform(0.5, 2, (n, 1, 2))
    return Components(covariance_structure("full"), rng.normal(size=(n, 2)), roots, np.eye(2)[None])


def allocation_of(labels, seed):
    n = labels.max() + 1
    return Allocation(labels, accumulate(ArraySource(ROWS), labels, n, diagonal=False), components_of(n, seed))


def affinity(components, a, b):
    covariances = components.roots @ components.roots.swapaxes(1, 2)
    spread = np.diagonal(covariances[a]) + np.diagonal(covariances[b])
    return FLOOR + np.exp(-0.5 * (np.square(components.means[a] - components.means[b]) / spread).sum())


def total(components):
    return sum(affinity(components, a, b) for a, b in combinations(range(len(components.means)), 2))


def probability(labels, components, i, j):
    """That a move about these two rows is tried, in this order."""
    weights, (a, b) = SPLITS + total(components), labels[[i, j]]
    if a == b:
        return SPLITS / weights / N / ((labels == a).sum() - 1)
    return 0.5 * affinity(components, a, b) / weights / (labels == a).sum() / (labels == b).sum()


def test_rows_are_picked_with_the_probabilities_of_the_ratio(seed):
    """Both chains at once; splits of the one row of a component are no moves, but count as tried."""
    other, n = np.array([0, 0, 1, 0, 1, 0], np.int32), 20_000
    chains = [allocation_of(LABELS, 1), allocation_of(other, 2)]
    sites = Sites.of(Stack.of(chains), [n, n], np.zeros(2, bool), np.random.default_rng(seed))
    for c, chain in enumerate(chains):
        counts, picked = np.zeros((N, N)), sites.picked[sites.chains == c]
        np.add.at(counts, tuple(picked.T), 1)
        expected = np.zeros((N, N))
        for i, j in np.argwhere(~np.eye(N, dtype=bool)):
            expected[i, j] = n * probability(chain.labels, chain.components, i, j)
        possible = expected > 0
        nothing = n * SPLITS / (SPLITS + total(chain.components)) * (np.bincount(chain.labels) == 1).sum() / N
        assert expected.sum() + nothing == pytest.approx(n)
        assert not counts[~possible].any()
        assert expected[possible].min() > 5
        statistic = np.square(counts - expected)[possible] / expected[possible]
        assert statistic.sum() + (n - counts.sum() - nothing) ** 2 / max(nothing, 1e-9) < chi_square(possible.sum(), 2)


def test_a_split_and_the_merger_that_would_undo_it():
    """Of every pair of rows of a chain among two, with proposed components in place of those that are there."""
    chains = [allocation_of(np.zeros(N, np.int32), 3), allocation_of(LABELS, 1)]
    stack, picked = Stack.of(chains), np.argwhere(~np.eye(N, dtype=bool))
    n = len(picked)
    ends = stack.labels[1, picked]
    members = (stack.labels[1] == ends[:, :1]) | (stack.labels[1] == ends[:, 1:])
    sites = Sites(np.ones(n, int), np.arange(n), picked, ends, members)
    made, own = components_of(3 * n, 4), chains[1].components
    means, roots, there = made.means.copy(), made.roots.copy(), ends - stack.starts[1]
    for p in np.flatnonzero(sites.splits):
        means[2 * n + p], roots[2 * n + p] = own.means[there[p, 0]], own.roots[there[p, 0]]
    for p in np.flatnonzero(~sites.splits):
        means[[p, n + p]], roots[[p, n + p]] = own.means[there[p]], own.roots[there[p]]
    both = Components(own.structure, means, roots, own.scale)
    counts = np.stack([np.full(n, 1), members.sum(axis=1) - 1])
    found = sites.affinities(stack, both).log_choices(counts, N)
    for p, (i, j) in enumerate(picked):
        others = [k for k in range(3) if k not in there[p]]
        with_pair = own[np.array(others, int)].joined(means[[p, n + p]], roots[[p, n + p]])
        with_one = own[np.array(others, int)].joined(means[[2 * n + p]], roots[[2 * n + p]])
        place = {k: at for at, k in enumerate(others)}
        one = np.array([place.get(k, len(others)) for k in LABELS])
        pair = one.copy()
        pair[members[p] & (np.arange(N) != i)] += 1  # the first row alone, and the second with all the rest
        expected = np.log(probability(pair, with_pair, i, j) / probability(one, with_one, i, j))
        assert found[p] == pytest.approx(expected, abs=1e-10)


def test_a_full_chain_is_not_split():
    chains = [allocation_of(LABELS, 1), allocation_of(LABELS, 2)]
    sites = Sites.of(Stack.of(chains), [500, 500], np.array([True, False]), np.random.default_rng(0))
    assert not sites.splits[sites.chains == 0].any()
    assert sites.splits[sites.chains == 1].any()
