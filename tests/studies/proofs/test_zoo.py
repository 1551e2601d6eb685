"""The zoo: its table keeps its promises, its runs are those of `wgan train`, and its labels are found out by others."""

import dataclasses
import json
import math

import pytest
import torch

from wgan import runs
from wgan.settings import check
from wgan.studies.proofs import zoo
from wgan.studies.proofs.zoo import ZOO, Specimen, claims, confusion, is_true, live, truths_of, visit
from wgan.studies.proofs.zoo.data import DISTRIBUTIONS, clusters, open_source
from wgan.training.factory import choose_parts
from wgan.transport import exact
from wgan.trust.verdict import KINDS, Verdict

SOUND = [each for each in ZOO.values() if each.expected == "trust"]
PLANTED = [each for each in ZOO.values() if each.expected != "trust"]
FAULTS = [kind for kind in KINDS if kind != "trust"]


@pytest.fixture
def few(monkeypatch):
    """Truth from few points, and another critic that is soon trained."""
    for name, value in {"_FRESH": 600, "_SOLVED": 300, "_OTHER_STEPS": 200}.items():
        monkeypatch.setattr(f"wgan.studies.proofs.zoo.ground_truth.{name}", value)


def short(name, steps=20, **changes) -> Specimen:
    settings = dataclasses.replace(
        ZOO[name].settings, steps=steps, eval_every=steps, batch_size=16, eval_size=50, **changes
    )
    return dataclasses.replace(ZOO[name], settings=settings)


def test_the_table_has_enough_of_everything():
    assert len(ZOO) >= 36
    assert len(SOUND) >= 10
    games = {
        tuple(str(getattr(each.settings, name)).split(":")[0] for name in ("objective", "constraint")) for each in SOUND
    }
    assert len(games) >= 5
    assert len({each.settings.data for each in SOUND}) >= 4
    for kind in FAULTS:
        assert sum(each.expected == kind for each in PLANTED) >= 3, kind


def test_every_run_can_be_made_and_is_another():
    for name, each in ZOO.items():
        assert each.name == name
        check(each.settings)
        choose_parts(each.settings)
        assert each.settings.data in DISTRIBUTIONS
    assert len({(json.dumps(dataclasses.asdict(each.settings)), each.rows) for each in ZOO.values()}) == len(ZOO)


def test_a_planted_run_has_a_sound_sibling_and_is_another():
    assert not any(each.sibling for each in SOUND)
    for each in PLANTED:
        sibling = ZOO[each.sibling]
        assert sibling.expected == "trust"
        assert (each.settings, each.rows) != (sibling.settings, sibling.rows)


def test_clusters_have_the_mean_and_the_width_that_they_say():
    found = clusters(3, 16, 0.2)
    assert torch.allclose(found.modes.norm(dim=1), torch.ones(3))
    points = found.draw(20_000, torch.Generator().manual_seed(0))
    assert torch.allclose(points.mean(dim=0), found.modes.mean(dim=0), atol=0.02)
    # The squared distance from the nearest centre is sigma² times one of chi-square with 16 degrees of freedom.
    assert float(torch.cdist(points, found.modes).min(dim=1).values.square().mean()) == pytest.approx(
        16 * 0.04, rel=0.02
    )


@pytest.mark.parametrize(("rows", "held_out"), [(40, 40), (3_000, 1_000)])
def test_few_rows_have_as_many_held_out_and_many_a_thousand(rows, held_out):
    source = open_source("clusters-8d", rows, 3)
    assert (source.size, source.num_held_out) == (rows, held_out)
    alike, other = open_source("clusters-8d", rows, 3), open_source("clusters-8d", rows, 4)
    assert source.fingerprint() == alike.fingerprint() != other.fingerprint()
    # As they were drawn: their modes are where the table has them.
    near = torch.cdist(source.distinct(rows, torch.Generator().manual_seed(0)), DISTRIBUTIONS["clusters-8d"].modes)
    assert float(near.min(dim=1).values.mean()) < 0.15 * 8**0.5


def test_a_life_is_a_run_of_the_command(tmp_path):
    specimen = short("ring-gan")
    life = live(specimen, 5)
    with runs.begin(life.settings, tmp_path / "run") as run:
        list(run.run())
    record = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    (last,) = (line for line in record if "held_out_estimate" in line)
    assert json.loads(json.dumps(life.lines)) == [{name: last[name] for name in life.lines[0]}]
    assert life.facts == dataclasses.asdict(life.settings)


def test_a_life_ends_where_a_run_would_be_stopped():
    life = live(short("roll-wall-to-wall"), 0)
    assert life.game.steps_done == 10
    assert life.lines == []
    assert life.facts["diverged"].startswith("training diverged at step 10: each update of the critic")
    assert truths_of(life)["ended"] == 0.0


def posed(specimen, points, *, slope=1.0):
    """A life whose generator hands out these points in turn, and whose critic is slope times their first entry."""
    life = live(specimen, 0)

    class Posing(torch.nn.Module):
        given, layout = life.game.generator.given, life.game.generator.layout

        def forward(self, noise, condition=None):
            return points[torch.arange(len(noise)) % len(points)]

    life.game.generator = Posing()
    life.game.score = lambda values, condition=None, weights=None: slope * values[:, 0]
    return life


def test_what_is_true_of_samples_is_known_of_a_generator_that_copies_rows():
    specimen = short("clusters-16d-memory", steps=1)
    rows = live(specimen, 0).source.distinct(30, torch.Generator().manual_seed(0))
    found = truths_of(posed(specimen, rows))
    assert (found["near_rows"], found["nearer_to_rows"]) == (0.0, 1.0)
    assert found["near_fresh"] > 0.5
    assert is_true("memorising", found, None)
    fresh = DISTRIBUTIONS["clusters-16d"].draw(4_000, torch.Generator().manual_seed(9))
    found = truths_of(posed(specimen, fresh))
    assert 0.4 < found["nearer_to_rows"] < 0.6
    assert found["w1"] == pytest.approx(found["w1_floor"], rel=0.05)
    assert found["modes"] == 1.0
    assert found["slope"] == 1.0
    assert found["looks"] == 1.0
    assert is_true("trust", found | {"estimate_fresh": 0.1, "follows": 0.9}, None)
    assert not is_true("memorising", found, None)


@pytest.mark.usefixtures("few")
def test_what_is_true_of_samples_is_known_of_a_generator_of_one_mode():
    specimen, one = short("ring-free", steps=1), DISTRIBUTIONS["ring"].modes[:1]
    found = truths_of(posed(specimen, one))
    assert found["modes"] == pytest.approx(1 / 8)
    centres = DISTRIBUTIONS["ring"].modes
    assert found["w1"] == pytest.approx(float((centres - one).norm(dim=1).mean()), rel=0.05)
    assert is_true("collapsed", found, {"w1": 0.1})
    assert not is_true("collapsed", found, {"w1": found["w1"]})


@pytest.mark.usefixtures("few")
def test_another_critic_sees_what_the_runs_own_does_not():
    found = truths_of(posed(short("roll-slow-critic", steps=1), torch.full((8, 2), 3.0), slope=-1e-3))
    # Samples on one point, far away: W1 is the mean distance from it, which the sibling's critic finds in no time.
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
def test_each_label_has_its_edge(kind, found, other):
    plain = {
        "ended": 1.0, "spread": 1.0, "w1": 0.3, "w1_floor": 0.2, "estimate_trained": 1.0, "estimate_fresh": 0.8,
        "near_rows": 1.0, "near_fresh": 1.0, "nearer_to_rows": 0.5, "slope": 1.0, "modes": 1.0, "drift": 1.0,
        "other_critic": 0.9, "looks": 8.0, "follows": 0.9,
    }  # fmt: skip
    sibling = None if kind == "trust" else {"w1": 0.3}
    assert is_true(kind, plain | found, sibling)
    assert not is_true(kind, plain | other, sibling)


def test_a_run_without_finite_samples_has_diverged_and_is_nothing_else():
    for kind in KINDS:
        assert is_true(kind, {"ended": 1.0, "spread": 1.0}, None) == (kind == "diverged")


@pytest.fixture
def small_zoo(monkeypatch):
    """Three runs of twenty updates."""
    names = ("roll-clipping", "ring-penalty", "roll-wall-to-wall")
    small = {name: short(name) for name in names}
    monkeypatch.setattr("wgan.studies.proofs.zoo.score.ZOO", small)


@pytest.mark.usefixtures("small_zoo", "few")
def test_a_visit_hands_out_what_was_asked_for_and_knows_siblings():
    (found,) = visit(["roll-wall-to-wall"], seeds=(2,))
    assert (found.name, found.seed, found.expected, found.verdict.kind) == (
        "roll-wall-to-wall",
        2,
        "diverged",
        "diverged",
    )
    assert found.is_right
    assert found.is_true
    again, other = visit(["ring-penalty"], seeds=(0, 1))
    assert [again.seed, other.seed] == [0, 1]
    assert again.lines != other.lines
    # After twenty updates nothing has been learnt, whatever the table says.
    assert not again.is_true


def test_a_curve_is_held_to_distances_that_no_verdict_sees():
    life = live(short("ring-penalty", steps=40), 0)
    (at, distance), points = life.witnessed[-1], DISTRIBUTIONS["ring"].draw(1_000, torch.Generator().manual_seed(1))
    assert (len(life.witnessed), at, len(life.curve)) == (1, 40, 4)
    with torch.no_grad():
        samples = life.game.generate(life.game.prior.sample(1_000, torch.Generator().manual_seed(2))).values
    assert distance == pytest.approx(float(exact(points, samples).distance), rel=0.1)
    falling = dataclasses.replace(
        life,
        curve=[(step, -float(step)) for step in range(10, 410, 10)],
        witnessed=[(step, 1 / step) for step in (100, 200, 300, 400)],
    )
    assert truths_of(falling)["follows"] == 1.0
    assert truths_of(dataclasses.replace(falling, curve=[(s, -e) for s, e in falling.curve]))["follows"] == -1.0
    # One outlier among the latest five updates does not show.
    spoilt = [(step, 1e9 if step == 400 else estimate) for step, estimate in falling.curve]
    assert truths_of(dataclasses.replace(falling, curve=spoilt))["follows"] == 1.0


def seen(expected, found, name="x", is_so=True):
    verdict = Verdict(kind=found, reason="so")
    return zoo.Visit(
        name=name, seed=0, expected=expected, verdict=verdict, truths={}, is_true=is_so, lines=[], facts={}
    )


def test_the_claims_count():
    right = [seen("trust", "trust")] * 5 + [seen("momentum", "momentum")] * 4
    shares, alarms, untold, trusted, labels = claims([*right, seen("momentum", "trust", "missed")])
    assert (shares.measured, shares.holds) == ("9 of 10 runs", True)
    assert (alarms.measured, alarms.holds, labels.holds) == ("none of 5", True, True)
    assert (untold.measured, untold.holds) == ("none of 5", True)
    assert (trusted.measured, trusted.holds) == ("missed", False)
    # That one of four sound runs cannot be told is no alarm; of three it is too many.
    doubted = [seen("trust", "cannot-tell", "vague"), *[seen("trust", "trust")] * 3, seen("cannot-tell", "cannot-tell")]
    _, alarms, untold, trusted, _ = claims(doubted)
    assert (alarms.holds, untold.measured, untold.holds) == (True, "vague", True)
    assert (trusted.measured, trusted.holds) == ("none of 1", True)
    assert not claims(doubted[:3])[2].holds
    shares, alarms, _, _, labels = claims(
        [*right, seen("trust", "momentum", "poor"), seen("diverged", "trust", "odd", False)]
    )
    assert not shares.holds
    assert (alarms.measured, alarms.holds) == ("poor (momentum)", False)
    assert (labels.measured, labels.holds) == ("odd", False)
    assert not claims([])[0].holds


def test_the_confusion_is_counted_by_pairs():
    found = confusion([seen("trust", "trust"), seen("trust", "trust"), seen("momentum", "trust")])
    assert found == {("trust", "trust"): 2, ("momentum", "trust"): 1}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["roll-clipping", "roll-tiny-clip", "ring-dead", "ring-one-look", "ring-cut-short", "clouds-64d-noise"]
)
def test_verdicts_on_whole_runs_are_right(name):
    (found,) = visit([name])
    assert found.is_true
    assert found.is_right, str(found.verdict)
