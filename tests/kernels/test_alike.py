"""Groups of samples with alike zeros: each sample is in one, lists are right, and like find like."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import MLP, SGD, Trainer
from fastnn._jit import program
from fastnn.datasets import load
from fastnn.engine.workspace import Plan
from fastnn.kernels.alike import grouped
from fastnn.kernels.bundles import GROUP, LISTS, STRIP
from fastnn.kernels.first import list_terms
from fastnn.kernels.sparse import note_rows, padded_words


@program
def run_list_terms(rank, net, work, m, done, n_columns, start, stop):
    return list_terms(rank, net, work, m, done, n_columns, start, stop)


@program
def run_note(x, row, n, m, done, words, w0):
    note_rows(x, 0, row, n, m, done, words, w0, padded_words(n))


@program
def run_grouped(work, m):
    return grouped(work, m)


def groups_and_lists(X, rank=1, done=STRIP):
    """Groups of the second strip that rank 1 gathers, then what is left over, and their lists; None if none pay."""
    m, n = X.shape
    plan = Plan(MLP([n, 300, 2], seed=1), n_ranks=2, batch_size=600, n_samples=m, skip_zeros=True)
    work = plan.work
    work.nonzero[:] = -1
    run_note(X.ravel(), n, n, m, done, work.nonzero, rank * work.nonzero_part)
    height = run_list_terms(rank, plan.net, work, m, done, 300, 0, n)
    if height == 0:
        return None
    assert height == GROUP
    in_groups = run_grouped(work, m)
    groups = work.groups[rank * STRIP :][:in_groups].reshape(-1, GROUP).tolist()
    groups += [list(range(in_groups, m))] * (m > in_groups)
    lists = work.lists.reshape(2, LISTS, work.list_size)[rank]
    return groups, [terms[1 : 1 + terms[0]].tolist() for terms in lists[: len(groups)]]


def sparse(m, n, share=0.15):
    rng = np.random.default_rng([m, n])
    return np.where(rng.random((m, n)) < share, rng.standard_normal((m, n)), 0).astype(np.float32)


@pytest.mark.parametrize("n", [49, 64, 83, 784])
@pytest.mark.parametrize("m", [8, 9, 31, 32, 33, 36, 63, 64])
def test_every_sample_is_in_one_tile_and_every_tile_has_its_list(m, n):
    X = sparse(m, n)
    X[m // 2] = 0
    groups, lists = groups_and_lists(X)
    assert sorted(s for group in groups for s in group) == list(range(m))
    for group, terms in zip(groups, lists, strict=True):
        assert terms == [*np.flatnonzero((X[group] != 0).any(axis=0)), n]


def test_samples_of_a_kind_share_a_group():
    kinds = np.repeat(np.arange(16), GROUP)
    np.random.default_rng(1).shuffle(kinds)
    X = np.zeros((STRIP, 320), np.float32)
    for sample, kind in enumerate(kinds):
        X[sample, kind::16] = 1  # as many inputs in every word of a set
    groups, _ = groups_and_lists(X)
    assert all(len({kinds[s] for s in group}) == 1 for group in groups)


def test_digits_have_fewer_terms_than_in_their_order():
    """32% instead of 39% of the inputs in MNIST, says the docstring of alike.py."""
    X = load("mnist").X[: 10 * STRIP].reshape(-1, STRIP, 784).astype(np.float32)
    chosen = [len(terms) - 1 for strip in X for terms in groups_and_lists(strip)[1]]
    in_order = (X.reshape(-1, GROUP, 784) != 0).any(axis=1).sum(axis=1)
    assert np.mean(in_order) / 784 == pytest.approx(0.39, abs=0.01)
    assert np.mean(chosen) / 784 == pytest.approx(0.32, abs=0.01)


def test_no_groups_where_nothing_is_zero():
    assert groups_and_lists(sparse(40, 83, share=1.0)) is None


def test_strips_of_few_samples_and_layers_of_few_units_or_inputs_have_none():
    for sizes, m, expected in [
        ([70, 300, 2], 11, 8),
        ([70, 300, 2], 7, 0),
        ([70, 100, 2], 64, 0),
        ([48, 300, 2], 64, 0),
    ]:
        work = Plan(MLP(sizes, seed=1), n_ranks=1, batch_size=64, skip_zeros=True).work
        assert run_grouped(work, m) == expected


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [8, 11, 37, 130])
def test_groups_change_no_bit(batch_size, dtype, monkeypatch):
    X = sparse(301, 83)
    y = np.arange(len(X)) % 3

    def trained(n_threads):
        net = MLP([83, 300, 3], seed=1, dtype=dtype)
        trainer = Trainer(
            net, batch_size=batch_size, max_epochs=2, n_threads=n_threads, verbose=0, optimizer=SGD(0.1),
            input_dropout=0.1,
        )  # fmt: skip
        trainer.fit(X, y)
        return net.fingerprint(), net.predict_proba(X).tobytes()

    found = {trained(1), trained(2), trained(3)}
    monkeypatch.setattr("fastnn.engine.workspace.GROUPING_PAYS", 10**9)
    assert {trained(1)} == found
