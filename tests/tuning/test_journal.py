"""The journal: what it remembers, whose it is, and what damage it bears."""

from __future__ import annotations

import json
import math

import pytest

from fastnn.tuning.journal import NAME, Journal

SPECIFICATION = {"seed": 0, "folds": 3, "base": {"l2": 0.1, "hidden": [3]}}


def open_journal(folder, **changes):
    return Journal(folder, SPECIFICATION | changes)


@pytest.fixture
def filled(tmp_path):
    journal = open_journal(tmp_path)
    journal.begin()
    for fold in (1, 2):
        journal.add(journal.key({"l2": 0.1}, fold), {"fold": fold, "scores": {"loss": 0.1 + 0.2}})
    return tmp_path / NAME


def test_what_was_finished_is_found_again_exactly(filled):
    journal = open_journal(filled.parent)
    assert journal.find(journal.key({"l2": 0.1}, 2))["scores"]["loss"] == 0.1 + 0.2
    assert journal.find(journal.key({"l2": 0.1}, 3)) is None
    assert journal.find(journal.key({"l2": 0.2}, 2)) is None
    journal.begin()
    journal.add("more", {"fold": 3, "scores": {"loss": math.nan}})
    assert math.isnan(open_journal(filled.parent).find("more")["scores"]["loss"])
    assert len(filled.read_bytes().splitlines()) == 4


def test_keys_depend_on_the_specification(tmp_path):
    keys = {open_journal(None, seed=seed).key({"l2": 0}, fold) for seed in (0, 1) for fold in (1, 2)}
    assert len(keys) == 4


def test_without_a_folder_it_is_memory_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    journal = open_journal(None)
    journal.begin()
    journal.add("key", {"fold": 1})
    assert journal.find("key") == {"fold": 1}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_last_line_is_dropped_and_written_anew(filled, cut):
    whole = filled.read_bytes()
    filled.write_bytes(whole[:-cut])
    journal = open_journal(filled.parent)
    key = journal.key({"l2": 0.1}, 2)
    assert journal.find(journal.key({"l2": 0.1}, 1)) is not None
    assert journal.find(key) is None
    journal.begin()
    journal.add(key, {"fold": 2, "scores": {"loss": 0.1 + 0.2}})
    assert filled.read_bytes() == whole


def test_a_damaged_line_is_named(filled):
    lines = filled.read_bytes().splitlines(keepends=True)
    filled.write_bytes(lines[0] + b'{"fold": 1\n' + lines[2])
    with pytest.raises(ValueError, match=r"line 2 of .* is damaged; remove this line"):
        open_journal(filled.parent)
    filled.write_bytes(lines[0] + b"{}\n")
    with pytest.raises(ValueError, match="line 2 of"):
        open_journal(filled.parent)


def test_another_tuning_is_refused_with_what_differs(filled):
    with pytest.raises(ValueError, match=r"belongs to another tuning, which differs in folds \(3 there, 5 here\);"):
        open_journal(filled.parent, folds=5)
    with pytest.raises(ValueError, match=r"differs in seed \(0 there, 1 here\), also in base.l2;"):
        open_journal(filled.parent, seed=1, base={"l2": 0.2, "hidden": [3]})
    with pytest.raises(ValueError, match=r"differs in base.l2 \(0.1 there, null here\)"):
        open_journal(filled.parent, base={"hidden": [3]})


@pytest.mark.parametrize("text", ["", "{", '{"seed": 5}\n', '{"seed": 5}\n{"key": "torn'])
def test_a_journal_without_a_fit_belongs_to_nobody(tmp_path, text):
    (tmp_path / NAME).write_text(text)
    open_journal(tmp_path).begin()
    assert json.loads((tmp_path / NAME).read_text()) == SPECIFICATION


def test_another_run_is_not_overwritten(tmp_path):
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(ValueError, match="holds another run, which would be lost"):
        open_journal(tmp_path)


def test_nothing_is_made_before_the_first_fit(tmp_path):
    journal = open_journal(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())
    journal.begin()
    assert (tmp_path / "a" / "b" / NAME).is_file()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as caught:
        open_journal(tmp_path / "file" / "folder").begin()
    assert "file" in str(caught.value)
