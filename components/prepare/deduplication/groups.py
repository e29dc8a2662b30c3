"""Groups of rows that stay together, and the choice of groups for the test."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from components.prepare.deduplication.questions import TEST, TRAIN, UNASSIGNED
from components.prepare.deduplication.shingles import Hashes

Rows = NDArray[np.int64]


def group_rows(keys: Iterable[Hashes], rows: int, pairs: tuple[Rows, Rows]) -> Rows:
    """Puts rows into one group that share a key, or are a pair, directly or over others.

    Args:
        keys: One hash a row each; 0 ties to nothing.
        rows: How many rows there are.
        pairs: Two arrays of row numbers, tied place by place.

    Returns:
        Each row's group, numbered by the group's first row in rising order.
    """
    ties = [pairs, *(_ties(key) for key in keys)]
    one = np.concatenate([tie[0] for tie in ties])
    other = np.concatenate([tie[1] for tie in ties])
    graph = sparse.coo_matrix((np.ones(len(one), dtype=np.int8), (one, other)), (rows, rows))
    _, labels = connected_components(graph.tocsr(), directed=False)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    numbered = np.empty(len(first), dtype=np.int64)
    numbered[np.argsort(first)] = np.arange(len(first))
    return np.asarray(numbered[inverse], dtype=np.int64)


def _ties(key: Hashes) -> tuple[Rows, Rows]:
    """Each row with the first row of the same key."""
    rows = np.flatnonzero(key)
    _, first, inverse = np.unique(key[rows], return_index=True, return_inverse=True)
    return rows, rows[first][inverse]


def choose_test(
    groups: Rows, intents: Rows, splits: NDArray[np.int8], wanted: int, seed: int
) -> NDArray[np.int8]:
    """Gives every row without a split one, by whole groups, stratified by intent.

    A group with rows that came with a split follows them (training, where it has both). Of the
    others, groups in a seeded order go to the test while each of their intents still has room in
    its share; then, if some intent could not fill its share, whatever fits the total.

    Args:
        groups: Each row's group.
        intents: A number from 0 for each row's intent.
        splits: What the rows came with.
        wanted: Rows that the test should have, those that came with it counted.
        seed: The same arguments and seed give the same choice.

    Returns:
        `TRAIN` or `TEST` for every row.
    """
    has_train, has_test = (_any_in_group(groups, splits == split) for split in (TRAIN, TEST))
    chosen = np.where(splits == UNASSIGNED, TRAIN, splits)
    chosen[(splits == UNASSIGNED) & (has_test & ~has_train)[groups]] = TEST
    free = ~(has_train | has_test)[groups]
    missing = wanted - int((chosen == TEST).sum())
    if missing > 0 and free.any():
        taken = _taken(groups[free], intents[free], missing, seed)
        chosen[np.flatnonzero(free)[taken]] = TEST
    return chosen


def _any_in_group(groups: Rows, flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    found = np.zeros(int(groups.max(initial=-1)) + 1, dtype=bool)
    found[groups[flags]] = True
    return found


def _taken(groups: Rows, intents: Rows, missing: int, seed: int) -> NDArray[np.bool_]:
    """Which of the free rows go to the test."""
    shares = _shares(np.bincount(intents), min(missing, len(intents)))
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    members = np.split(order, starts[1:])
    turns = np.random.default_rng(seed).permutation(len(members)).tolist()
    taken = np.zeros(len(groups), dtype=bool)
    for turn in turns:
        rows = members[turn]
        counts = np.bincount(intents[rows], minlength=len(shares))
        if (counts <= shares).all():
            shares -= counts
            missing -= len(rows)
            taken[rows] = True
        if missing <= 0 or not shares.any():
            break
    return _filled(taken, members, turns, missing)


def _filled(
    taken: NDArray[np.bool_], members: list[Rows], turns: list[int], missing: int
) -> NDArray[np.bool_]:
    """Takes whatever still fits; at the end the smallest group, if only a larger one is left."""
    left = [members[turn] for turn in turns if not taken[members[turn][0]]]
    for rows in left if missing > 0 else ():
        if len(rows) <= missing:
            taken[rows] = True
            missing -= len(rows)
    left = [rows for rows in left if not taken[rows[0]]]
    if missing > 0 and left:
        taken[min(left, key=len)] = True
    return taken


def _shares(counts: Rows, total: int) -> Rows:
    """Divides a total in proportion to counts, by largest remainders."""
    exact = counts * total / counts.sum()
    shares: Rows = np.floor(exact).astype(np.int64)
    order = np.argsort(shares - exact, kind="stable")
    shares[order[: total - shares.sum()]] += 1
    return shares
