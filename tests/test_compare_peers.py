"""The comparison with peers: who did not do the same work is refused, who is missing gets a row, ratios are paired."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from peers import __main__ as command_line
from peers import data, goals, referee, report, rounds
from peers.contestants import CONTESTANTS, with_fastnn, with_numpy
from peers.jobs import JOBS, MATRIX_UNIT, PEAK, Prediction, Processes, Training, quick
from peers.results import Entry, Outcome
from reference import ReferenceNet, sgd_step

from fastnn.engine import costs

ROOT = Path(__file__).parents[1]
JOB = Training("small", (20, 16, 5), 8, n_rows=203, rate=0.1, goals={"jax": 2, "two threads": 1.85})


def make_samples(job: Training) -> tuple[data.Samples, data.Parameters]:
    rng = np.random.default_rng(3)
    X = rng.random((job.n_rows, job.sizes[0])).astype(job.dtype)
    samples = data.Samples(X, rng.integers(0, job.sizes[-1], job.n_rows), data.order(job.n_rows, 1, job.shuffle))
    return samples, data.first_parameters(job.sizes, job.activation, job.dtype)


def trained(contestant, samples, first):
    contestant.begin(samples, first)
    contestant.run()
    return contestant.parameters()


VARIANTS = [
    JOB,
    replace(JOB, activation="logistic"),
    replace(JOB, activation="logistic", output="logistic", loss="mse", batch_size=1, momentum=0.0),
    replace(JOB, dtype="float64", batch_size=203, shuffle=False),
]


@pytest.mark.parametrize("job", VARIANTS)
def test_the_referee_agrees_with_the_oracle(job):
    samples, first = make_samples(job)
    found = trained(with_numpy.Trains(replace(job, dtype="float64"), 1), samples_of(samples, "float64"), first)
    oracle = ReferenceNet(list(job.sizes), [job.activation], job.output, job.loss, *first)
    velocities = [np.zeros_like(p) for p in oracle.parameters]
    targets = np.eye(job.sizes[-1])[samples.y]
    for start in range(0, job.n_rows, job.batch_size):
        rows = samples.order[0, start : start + job.batch_size]
        _, dWs, dbs = oracle.loss_and_gradients(samples.X[rows].astype(np.float64), targets[rows])
        sgd_step(oracle.parameters, [*dWs, *dbs], velocities, job.rate, job.momentum, False)
    for mine, expected in zip((*found[0], *found[1]), oracle.parameters, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-9, atol=1e-12)


def samples_of(samples: data.Samples, dtype: str) -> data.Samples:
    return data.Samples(samples.X.astype(dtype), samples.y, samples.order)


@pytest.mark.parametrize("job", VARIANTS)
@pytest.mark.parametrize("module", [with_fastnn, with_numpy])
def test_an_honest_contestant_is_accepted(module, job):
    samples, first = make_samples(job)
    judge = referee.Referee(job, samples, samples.order, first)
    assert judge.objection(trained(module.Trains(job, 1), samples, first)) == ""


CHEATS = {
    "the first parameters": lambda job, s, first: first,
    "one step less": lambda job, s, first: trained(
        with_numpy.Trains(job, 1), data.Samples(s.X, s.y, s.order[:, : -job.batch_size]), first
    ),
    "another order": lambda job, s, first: trained(
        with_numpy.Trains(job, 1), data.Samples(s.X, s.y, s.order[:, ::-1].copy()), first
    ),
    "no momentum": lambda job, s, first: trained(with_numpy.Trains(replace(job, momentum=0.0), 1), s, first),
    "larger mini-batches": lambda job, s, first: trained(with_numpy.Trains(replace(job, batch_size=16), 1), s, first),
    "no biases": lambda job, s, first: (trained(with_numpy.Trains(job, 1), s, first)[0], first[1]),
    "a smaller network": lambda job, s, first: (first[0][:1], first[1][:1]),
    "NaN": lambda job, s, first: ([np.full_like(W, np.nan) for W in first[0]], first[1]),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_cheat_is_refused(cheat):
    samples, first = make_samples(JOB)
    judge = referee.Referee(JOB, samples, samples.order, first)
    assert judge.objection(CHEATS[cheat](JOB, samples, first))


def test_a_loss_far_from_the_others_is_refused():
    assert referee.final_objection(0.50, [0.50, 0.51, 0.49]) == ""
    assert "0.6000" in referee.final_objection(0.60, [0.50, 0.51, 0.60])
    assert referee.final_objection(float("nan"), [0.5, 0.5, float("nan")])


def test_wrong_probabilities_are_refused():
    expected = np.full((3, 2), 0.5)
    assert referee.output_objection(expected + 1e-6, expected) == ""
    assert "1.0e-02" in referee.output_objection(expected + 0.01, expected)
    assert "shape" in referee.output_objection(expected[:2], expected)
    assert referee.output_objection(expected * np.nan, expected)


def test_a_check_is_at_most_fifty_steps_and_never_one():
    by_name = {job.name: job for job in JOBS if isinstance(job, Training)}
    assert referee.check_samples(by_name["784-30-10"]) == 500
    assert referee.check_samples(by_name["784-2048-2048-10"]) == 6 * 256
    assert referee.check_samples(by_name["784-5-10"]) == 60_000


def canned() -> Outcome:
    return Outcome(
        JOB,
        "fastnn",
        [
            Entry("fastnn", 1, [2.0, 4.0, 2.0], loss=0.5),
            Entry("fastnn", 2, [1.0, 2.0, 1.0], loss=0.5),
            Entry("jax", 1, [3.0, 6.0, 3.3], loss=0.5),
            Entry("jax", 2, [4.0, 8.0, 4.0], loss=0.5),
            Entry("pytorch", 1, status="missing", note="not installed: No module named 'torch'"),
            Entry("pytorch", 2, status="missing", note="not installed: No module named 'torch'"),
            Entry("numpy", 1, [0.1], status="refused", note="loss 2 after the check instead of 1", loss=2.0),
            Entry(PEAK, 1, [0.1, 0.1, 0.1], operations=2e10),
        ],
    )


def test_ratios_are_of_best_threads_and_paired_rounds():
    outcome = canned()
    assert outcome.best("jax").threads == 1
    assert outcome.ratio("jax") == pytest.approx((3.0, 3.0, 3.3))
    assert outcome.ratio("pytorch") is None
    assert outcome.ratio("numpy") is None  # fast, and refused


def test_goals_compare_everyone_on_the_samples_that_suit_them():
    outcome = canned()
    assert outcome.ratio_of_forms("jax") == outcome.ratio("jax")
    outcome.entries += [Entry("fastnn-uint8", 1, [0.5, 1.0, 0.5], loss=0.5), Entry("jax-uint8", 2, [5.0, 5.0, 5.0])]
    assert outcome.ratio_of_forms("jax") == pytest.approx((6.0, 6.0, 6.6))
    outcome.entries.append(Entry("jax-uint8", 1, [1.0, 2.0, 1.0]))
    assert outcome.ratio_of_forms("jax") == pytest.approx((2.0, 2.0, 2.0))
    assert outcome.ratio("jax") == pytest.approx((3.0, 3.0, 3.3))
    goal, _ = goals.judge(outcome)
    assert goal.value == pytest.approx(2.0)


def test_table_has_a_row_for_everyone():
    lines = report.text(canned()).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["fastnn", "jax", "pytorch", "numpy", PEAK]
    assert lines[3].split()[1:5] == ["1", "3.3", "3", "6"]
    assert lines[3].endswith("3.00  3.00-3.30")
    assert "missing: not installed: No module named 'torch'" in lines[4]
    assert "refused: loss 2 after the check" in lines[5]
    assert "200" in lines[6].split()  # GF/s


def test_goals_say_what_was_not_measured():
    met, threads = goals.judge(canned())
    assert (met.value, met.is_met) == (pytest.approx(3.0), True)
    assert (threads.value, threads.is_met) == (pytest.approx(2.0), True)
    outcome = canned()
    outcome.entries = outcome.entries[:1]
    assert [g.is_met for g in goals.judge(outcome)] == [None, None]
    assert "not measured" in report.goals_text([outcome])


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_every_goal_can_be_computed(job):
    def entry(name, n_threads):
        return Entry(name, n_threads, [2.0], operations=1e9 if name == PEAK else None)

    names = ("one after the other", "in parallel") if job.name == "folds" else job.contestants
    base = job.base if isinstance(job, Processes) else "fastnn"
    found = goals.judge(Outcome(job, base, [entry(name, n) for name in names for n in (1, 2)]))
    again = [name for name in job.goals if name in names] if MATRIX_UNIT in names else []
    assert len(found) == len(job.goals) + len(again) > 0
    assert all(goal.value is not None for goal in found)


def test_json_holds_every_round():
    content = json.loads(report.as_json([canned()], {"date": "2026-01-01", "rounds": 3}))
    (job,) = content["jobs"]
    assert content["format"] == report.FORMAT
    assert content["versions"]["numpy"] == np.__version__
    assert job["entries"][2] == {
        "contestant": "jax", "threads": 1, "status": "ok", "values": [3.0, 6.0, 3.3], "median": 3.3, "loss": 0.5
    }  # fmt: skip
    assert job["entries"][4]["note"] == "not installed: No module named 'torch'"
    assert job["ratios"].keys() == {"fastnn", "jax"}


def test_picture(tmp_path):
    assert report.picture([canned()], tmp_path / "peers.png")
    assert (tmp_path / "peers.png").stat().st_size > 10_000
    assert not report.picture([], tmp_path / "none.png")


def test_jobs_name_contestants_that_exist():
    names = [job.name for job in JOBS]
    assert len(set(names)) == len(names)
    for job in JOBS:
        if not isinstance(job, Processes):
            assert set(job.contestants) <= CONTESTANTS.keys()
            assert set(quick(job).contestants) <= set(job.contestants)
            assert quick(job).n_samples <= 2_000


def test_operations_are_counted_as_the_package_counts_them():
    """The jobs have a count of their own, so that peers are measured without fastnn in their processes."""
    for job in JOBS:
        if isinstance(job, Training):
            assert job.operations == costs.operations(job.sizes)


def test_options_choose_jobs_and_peers():
    options = command_line.parse(["--jobs", "784-30-10", "start", "--peers", "jax"])
    training, start = command_line.chosen(options)
    assert training.contestants == ("fastnn", "fastnn-uint8", "jax", "jax-uint8")
    assert {"jax, first fit", "import torch"} <= start.commands.keys()
    assert "pytorch, first fit" not in start.commands
    with pytest.raises(SystemExit):
        command_line.parse(["--rounds", "0"])


def test_thread_counts():
    assert [rounds.thread_counts(n) for n in (1, 2, 6, 8)] == [(1,), (1, 2), (1, 2, 4, 6), (1, 2, 4, 8)]


@pytest.mark.slow
def test_processes_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setitem(CONTESTANTS, "jax", CONTESTANTS["jax"]._replace(module="with_nothing"))
    job = Training("64-8-10", (64, 8, 10), 16, data="digits", n_rows=200, contestants=("fastnn-uint8", "jax"))
    small = Prediction("ten", (64, 8, 10), 10, 2, data="digits", contestants=("fastnn", "fastnn-unchecked", "numpy"))
    with rounds.Team(tmp_path) as team:
        training = rounds.compete(job, team, (1,), 2, lambda sentence: None, 0.0)
        prediction = rounds.compete(small, team, (1,), 1, lambda sentence: None, 0.0)
    assert [e.status for e in prediction.entries] == ["ok"] * 3
    good, absent = training.entries
    assert (good.status, len(good.values)) == ("ok", 2)
    assert good.loss is not None
    assert (absent.status, absent.values) == ("missing", [])


def test_whole_processes():
    commands = {
        "wall": ("-c", "pass"),
        "figures": ("-c", "print('noise'); print('{\"a\": 1.5, \"b\": 2}')"),
        "no library": ("-c", "import no_such_library"),
        "broken": ("-c", "raise SystemExit('only 12% were right')"),
    }
    outcome = rounds.run_processes(Processes("p", "", commands, "wall"), 1, lambda sentence: None, 0.0)
    found = {e.contestant: e for e in outcome.entries}
    assert found["wall"].values[0] > 0
    assert (found["a"].values, found["b"].values) == ([1.5], [2])
    assert found["no library"].status == "missing"
    assert (found["broken"].status, found["broken"].note) == ("failed", "only 12% were right")


def test_the_script_is_executable_and_says_what_it_can():
    script = ROOT / "scripts" / "compare_peers"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    done = subprocess.run([sys.executable, "-m", "peers", "--help"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0
    assert "--quick" in done.stdout
