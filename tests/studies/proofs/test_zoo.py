"""The zoo: its table, its runs, which are those of `wgan train`, and the ground truth of its labels."""

import dataclasses
import json
import math

import pytest
import torch

from wgan import runs
from wgan.settings import check
from wgan.studies.proofs import zoo
from wgan.studies.proofs.zoo import CASES, Case, claims, confusion, ground_truth_of, is_true, run_case, run_cases
from wgan.studies.proofs.zoo.cases import DISTRIBUTIONS, clusters, open_source
from wgan.training.factory import choose_parts
from wgan.transport import exact
from wgan.trust.verdict import KINDS, Verdict

SOUND = [each for each in CASES.values() if each.expected == "trust"]
FAULTY = [each for each in CASES.values() if each.expected != "trust"]
FAULTS = [kind for kind in KINDS if kind != "trust"]


@pytest.fixture
def few(monkeypatch):
    """Ground truth from few points and updates."""
    for name, value in {"_FRESH": 600, "_SOLVED": 300, "_OTHER_STEPS": 200}.items():
        monkeypatch.setattr(f"wgan.studies.proofs.zoo.ground_truth.{name}", value)


def short(name, steps=20, **changes) -> Case:
    settings = dataclasses.replace(
        CASES[name].settings, steps=steps, eval_every=steps, batch_size=16, eval_size=50, **changes
    )
    return dataclasses.replace(CASES[name], settings=settings)


def test_the_table_has_enough_cases_of_each_kind():
    assert len(CASES) >= 36
    assert len(SOUND) >= 10
    games = {
        tuple(str(getattr(each.settings, name)).split(":")[0] for name in ("objective", "constraint")) for each in SOUND
    }
    assert len(games) >= 5
    assert len({each.settings.data for each in SOUND}) >= 4
    for kind in FAULTS:
        assert sum(each.expected == kind for each in FAULTY) >= 3, kind


def test_every_case_can_be_built_and_is_distinct():
    for name, each in CASES.items():
        assert each.name == name
        check(each.settings)
        choose_parts(each.settings)
        assert each.settings.data in DISTRIBUTIONS
    assert len({(json.dumps(dataclasses.asdict(each.settings)), each.rows) for each in CASES.values()}) == len(CASES)


def test_a_case_with_a_fault_has_a_different_sound_sibling():
    assert not any(each.sibling for each in SOUND)
    for each in FAULTY:
        sibling = CASES[each.sibling]
        assert sibling.expected == "trust"
        assert (each.settings, each.rows) != (sibling.settings, sibling.rows)


def test_clusters_have_their_declared_mean_and_width():
    found = clusters(3, 16, 0.2)
    assert torch.allclose(found.modes.norm(dim=1), torch.ones(3))
    points = found.draw(20_000, torch.Generator().manual_seed(0))
    assert torch.allclose(points.mean(dim=0), found.modes.mean(dim=0), atol=0.02)
    # The squared distance from the nearest centre is sigma² times one of chi-square with 16 degrees of freedom.
    assert float(torch.cdist(points, found.modes).min(dim=1).values.square().mean()) == pytest.approx(
        16 * 0.04, rel=0.02
    )


@pytest.mark.parametrize(("rows", "held_out"), [(40, 40), (3_000, 1_000)])
def test_as_many_rows_are_held_out_as_are_trained_on_up_to_a_thousand(rows, held_out):
    source = open_source("clusters-8d", rows, 3)
    assert (source.size, source.num_held_out) == (rows, held_out)
    alike, other = open_source("clusters-8d", rows, 3), open_source("clusters-8d", rows, 4)
    assert source.fingerprint() == alike.fingerprint() != other.fingerprint()
    # Not scaled: the modes are those of the table.
    near = torch.cdist(source.distinct(rows, torch.Generator().manual_seed(0)), DISTRIBUTIONS["clusters-8d"].modes)
    assert float(near.min(dim=1).values.mean()) < 0.15 * 8**0.5


def test_a_case_run_equals_a_run_of_the_command(tmp_path):
    case = short("ring-gan")
    run = run_case(case, 5)
    with runs.begin(run.settings, tmp_path / "run") as stored:
        list(stored.run())
    record = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    (last,) = (line for line in record if "held_out_estimate" in line)
    assert json.loads(json.dumps(run.lines)) == [{name: last[name] for name in run.lines[0]}]
    assert run.diverged == ""


def test_a_case_run_ends_where_training_diverges():
    run = run_case(short("roll-wall-to-wall"), 0)
    assert run.game.steps_done == 10
    assert run.lines == []
    assert run.diverged.startswith("training diverged at step 10: at a learning rate of 3 each update of the critic")
    assert ground_truth_of(run)["ended"] == 0.0


def replaced(case, points, *, slope=1.0):
    """A run with a generator that returns these points in turn, and the critic slope * x[0]."""
    run = run_case(case, 0)

    class Fixed(torch.nn.Module):
        given, layout = run.game.generator.given, run.game.generator.layout

        def forward(self, noise, condition=None):
            return points[torch.arange(len(noise)) % len(points)]

    run.game.generator = Fixed()
    run.game.score = lambda values, condition=None, weights=None: slope * values[:, 0]
    return run


def test_ground_truth_of_a_generator_that_copies_rows():
    case = short("clusters-16d-memory", steps=1)
    rows = run_case(case, 0).source.distinct(30, torch.Generator().manual_seed(0))
    found = ground_truth_of(replaced(case, rows))
    assert (found["near_rows"], found["nearer_to_rows"]) == (0.0, 1.0)
    assert found["near_fresh"] > 0.5
    assert is_true("memorising", found, None)
    fresh = DISTRIBUTIONS["clusters-16d"].draw(4_000, torch.Generator().manual_seed(9))
    found = ground_truth_of(replaced(case, fresh))
    assert 0.4 < found["nearer_to_rows"] < 0.6
    assert found["w1"] == pytest.approx(found["w1_floor"], rel=0.05)
    assert found["modes"] == 1.0
    assert found["slope"] == 1.0
    assert found["looks"] == 1.0
    assert is_true("trust", found | {"estimate_fresh": 0.1, "follows": 0.9}, None)
    assert not is_true("memorising", found, None)


@pytest.mark.usefixtures("few")
def test_ground_truth_of_a_generator_of_one_mode():
    case, one = short("ring-free", steps=1), DISTRIBUTIONS["ring"].modes[:1]
    found = ground_truth_of(replaced(case, one))
    assert found["modes"] == pytest.approx(1 / 8)
    centres = DISTRIBUTIONS["ring"].modes
    assert found["w1"] == pytest.approx(float((centres - one).norm(dim=1).mean()), rel=0.05)
    assert is_true("collapsed", found, {"w1": 0.1})
    assert not is_true("collapsed", found, {"w1": found["w1"]})


@pytest.mark.usefixtures("few")
def test_ground_truth_uses_the_critic_of_the_sibling():
    found = ground_truth_of(replaced(short("roll-slow-critic", steps=1), torch.full((8, 2), 3.0), slope=-1e-3))
    # All samples are one distant point: W1 is the mean distance from it, which the sibling's critic learns quickly.
    assert found["estimate_fresh"] == pytest.approx(3e-3, rel=0.1)
    assert found["other_critic"] > 1.0
    assert is_true("critic-not-optimal", found, {"w1": 0.1})


@pytest.mark.parametrize(
    ("kind", "found", "other"),
    [
        ("trust", {"w1": 0.34}, {"w1": 0.36}),
        ("trust", {"modes": 0.75}, {"modes": 0.74}),
        ("trust", {"estimate_fresh": 0.1}, {"estimate_fresh": -0.1}),
        ("trust", {"nearer_to_rows": 0.65}, {"nearer_to_rows": 0.66}),
        ("trust", {"follows": 0.5}, {"follows": 0.49}),
        ("trust", {"follows": 0.5}, {"follows": math.nan}),
        ("cannot-tell", {"follows": 0.49}, {"follows": 0.5}),
        ("cannot-tell", {"follows": math.nan}, {"follows": 1.0}),
        ("cannot-tell", {"looks": 3.0}, {"looks": 4.0}),
        ("critic-not-optimal", {"other_critic": 1.6, "w1": 0.46}, {"other_critic": 1.5, "w1": 0.46}),
        ("critic-not-optimal", {"other_critic": 1.6, "w1": 0.46}, {"other_critic": 1.6, "w1": 0.44}),
        ("critic-overfits", {"estimate_fresh": 0.75}, {"estimate_fresh": 0.76}),
        ("clip-too-small", {"slope": 1e-3, "w1": 0.46}, {"slope": 1.1e-3, "w1": 0.46}),
        ("clip-too-small", {"slope": 1e-3, "w1": 0.46}, {"slope": 1e-3, "w1": 0.44}),
        ("clip-too-large", {"slope": 1e3, "w1": 0.46}, {"slope": 999.0, "w1": 0.46}),
        ("clip-too-large", {"slope": 1e3, "drift": 100.0}, {"slope": 1e3, "drift": 99.0}),
        ("momentum", {"w1": 0.46}, {"w1": 0.44}),
        ("collapsed", {"modes": 0.66, "w1": 0.46}, {"modes": 0.67, "w1": 0.46}),
        ("memorising", {"nearer_to_rows": 0.75, "near_rows": 0.65}, {"nearer_to_rows": 0.74, "near_rows": 0.65}),
        ("memorising", {"nearer_to_rows": 0.75, "near_rows": 0.65}, {"nearer_to_rows": 0.75, "near_rows": 0.66}),
        ("diverged", {"ended": 0.0}, {}),
        ("diverged", {"slope": 0.0}, {"slope": 1e-9}),
        ("diverged", {"estimate_fresh": -1.1e6}, {"estimate_fresh": 9e5}),
    ],
)
def test_each_label_has_a_threshold(kind, found, other):
    plain = {
        "ended": 1.0, "spread": 1.0, "w1": 0.3, "w1_floor": 0.2, "estimate_trained": 1.0, "estimate_fresh": 0.8,
        "near_rows": 1.0, "near_fresh": 1.0, "nearer_to_rows": 0.5, "slope": 1.0, "modes": 1.0, "drift": 1.0,
        "other_critic": 0.9, "looks": 8.0, "follows": 0.9,
    }  # fmt: skip
    sibling = None if kind == "trust" else {"w1": 0.3}
    assert is_true(kind, plain | found, sibling)
    assert not is_true(kind, plain | other, sibling)


def test_a_run_without_finite_samples_has_diverged():
    for kind in KINDS:
        assert is_true(kind, {"ended": 1.0, "spread": 1.0}, None) == (kind == "diverged")


@pytest.fixture
def small_zoo(monkeypatch):
    """Three runs of twenty updates."""
    names = ("roll-clipping", "ring-penalty", "roll-wall-to-wall")
    small = {name: short(name) for name in names}
    monkeypatch.setattr("wgan.studies.proofs.zoo.score.CASES", small)


@pytest.mark.usefixtures("small_zoo", "few")
def test_only_named_cases_are_yielded():
    (found,) = run_cases(["roll-wall-to-wall"], seeds=(2,))
    assert (found.name, found.seed, found.expected, found.verdict.kind) == (
        "roll-wall-to-wall",
        2,
        "diverged",
        "diverged",
    )
    assert found.is_right
    assert found.is_true
    again, other = run_cases(["ring-penalty"], seeds=(0, 1))
    assert [again.seed, other.seed] == [0, 1]
    assert again.lines != other.lines
    # After twenty updates the run is not yet sound.
    assert not again.is_true


def test_the_curve_is_compared_with_distances_to_fresh_points():
    run = run_case(short("ring-penalty", steps=40), 0)
    (at, distance), ring = run.fresh_distances[-1], DISTRIBUTIONS["ring"]
    points = ring.draw(1_000, torch.Generator().manual_seed(1))
    assert (len(run.fresh_distances), at, len(run.curve)) == (1, 40, 4)
    with torch.no_grad():
        samples = run.game.generate(run.game.prior.sample(1_000, torch.Generator().manual_seed(2))).values
    assert distance == pytest.approx(float(exact(points, samples).distance), rel=0.1)
    falling = dataclasses.replace(
        run,
        curve=[(step, -float(step)) for step in range(10, 410, 10)],
        fresh_distances=[(step, 1 / step) for step in (100, 200, 300, 400)],
    )
    assert ground_truth_of(falling)["follows"] == 1.0
    assert ground_truth_of(dataclasses.replace(falling, curve=[(s, -e) for s, e in falling.curve]))["follows"] == -1.0
    # The median over five updates removes an outlier.
    spoilt = [(step, 1e9 if step == 400 else estimate) for step, estimate in falling.curve]
    assert ground_truth_of(dataclasses.replace(falling, curve=spoilt))["follows"] == 1.0


def result(expected, found, name="x", is_so=True):
    verdict = Verdict(kind=found, reason="so")
    return zoo.CaseResult(
        name=name, seed=0, expected=expected, verdict=verdict, ground_truth={}, is_true=is_so, lines=[]
    )


def test_claims_count_the_verdicts():
    right = [result("trust", "trust")] * 5 + [result("momentum", "momentum")] * 4
    shares, alarms, undecided, trusted, labels = claims([*right, result("momentum", "trust", "missed")])
    assert (shares.measured, shares.holds) == ("9 of 10 runs", True)
    assert (alarms.measured, alarms.holds, labels.holds) == ("none of 5", True, True)
    assert (undecided.measured, undecided.holds) == ("none of 5", True)
    assert (trusted.measured, trusted.holds) == ("missed", False)
    # One undecided verdict is allowed in four sound runs, but not in three.
    sound = [result("trust", "cannot-tell", "vague"), *[result("trust", "trust")] * 3]
    doubted = [*sound, result("cannot-tell", "cannot-tell")]
    _, alarms, undecided, trusted, _ = claims(doubted)
    assert (alarms.holds, undecided.measured, undecided.holds) == (True, "vague", True)
    assert (trusted.measured, trusted.holds) == ("none of 1", True)
    assert not claims(doubted[:3])[2].holds
    shares, alarms, _, _, labels = claims(
        [*right, result("trust", "momentum", "poor"), result("diverged", "trust", "odd", False)]
    )
    assert not shares.holds
    assert (alarms.measured, alarms.holds) == ("poor (momentum)", False)
    assert (labels.measured, labels.holds) == ("odd", False)
    assert not claims([])[0].holds


def test_confusion_counts_pairs():
    found = confusion([result("trust", "trust"), result("trust", "trust"), result("momentum", "trust")])
    assert found == {("trust", "trust"): 2, ("momentum", "trust"): 1}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["roll-clipping", "roll-tiny-clip", "ring-dead", "ring-one-look", "ring-cut-short", "clouds-64d-noise"]
)
def test_verdicts_on_whole_runs_are_right(name):
    (found,) = run_cases([name])
    assert found.is_true
    assert found.is_right, str(found.verdict)
