"""Verdicts on constructed records: every rule and its threshold, the order of the rules, and missing numbers."""

import subprocess
import sys
from pathlib import Path

import pytest

from wgan.settings import Settings
from wgan.trust import faults, symptoms, thresholds, verdict
from wgan.trust.faults import VerdictSettings
from wgan.trust.spearman import critical_value
from wgan.trust.symptoms import SYMPTOMS
from wgan.trust.verdict import KINDS, verdict_of

SOUND = {
    "step": 100,
    "estimate": 0.5,
    "training_estimate": 0.52,
    "held_out_estimate": 0.5,
    "further_estimate": 0.55,
    "certified": 0.8,
    "without_critic": 0.3,
    "exact": 1.0,
    "exact_low": 0.9,
    "exact_high": 1.1,
    "exact_floor": 0.4,
    "efficiency": 0.8,
    "slope_climbed": 1.5,
    "slope_fake": 1.2,
    "at_bound": 0.4,
    "step_cosine": 0.4,
    "coverage": 0.98,
    "off_support": 0.5,
    "memorised": 0.02,
    "memorised_error": 0.05,
    "training_lead": 0.7,
}
"""A diagnosis of a sound run: samples are 2.5 times as far as real rows are, and coming nearer."""

WORDS = {
    "objective": "wasserstein",
    "constraint": "penalty:weight=0.1",
    "critic_optimizer": "adam:lr=0.002,beta1=0.5",
    "generator_optimizer": "adam:lr=0.001,beta1=0.5",
    "critic_steps": 2,
}


def trained_with(**changes):
    return VerdictSettings.of(WORDS | changes)


PENALTY, UNKNOWN = trained_with(), VerdictSettings()
CLIPPING = trained_with(constraint="clipping:bound=0.1", critic_optimizer="rmsprop:lr=0.0005")
HEAVY = trained_with(critic_optimizer="adam:lr=0.002,beta1=0.9")
LOST = {"exact": 4.0, "exact_floor": 1.0}
FORMER = SOUND | {
    "exact": 2.0, "exact_low": 1.9, "exact_high": 2.1, "estimate": 0.9, "training_estimate": 0.93,
    "held_out_estimate": 0.91, "further_estimate": 0.95,
}  # fmt: skip
"""A diagnosis before it, twice as far from the data."""


def run(settings=PENALTY, *, before=None, **changes):
    """The verdict on four diagnoses, of which the latter two are changed; the former are twice as far from the data."""
    former = FORMER | (before or {})
    return verdict_of([former, former, SOUND | changes, SOUND | changes], settings)


@pytest.mark.parametrize("settings", [PENALTY, CLIPPING, HEAVY, UNKNOWN])
def test_a_sound_run_is_trusted(settings):
    found = run(settings)
    assert found.kind == "trust"
    assert found.remedy == ""
    assert found.evidence["efficiency"] == 0.8
    assert str(found) == (
        "trust: over 4 diagnoses the critic's estimate follows the distance (rank correlation 1.00); the critic proves "
        "0.8, 80% of the exact W1 (1, 95 % interval 0.9 to 1.1); training rows score 0.7 standard errors higher "
        "than held-out rows; samples are 2.5 times as far from held-out rows as other real rows are"
    )


@pytest.mark.parametrize(
    ("kind", "settings", "at", "below"),
    [
        ("diverged", PENALTY, {"exact": 400.0}, {"exact": 399.0, "before": {"exact": 1e3}}),
        ("diverged", PENALTY, {"slope_climbed": 1e5}, {"slope_climbed": 9.9e4}),
        ("diverged", PENALTY, {"slope_fake": 0.0}, {"slope_fake": 1e-30}),
        ("diverged", CLIPPING, {"slope_fake": 0.0}, {"slope_fake": 1e-30}),
        ("clip-too-small", CLIPPING, {"slope_climbed": 5e-4}, {"slope_climbed": 6e-4}),
        ("clip-too-small", CLIPPING, {"slope_climbed": 0.0, "slope_fake": 0.0}, {"slope_climbed": 6e-4}),
        ("clip-too-large", CLIPPING, {"slope_climbed": 1e4}, {"slope_climbed": 9.9e3}),
        ("memorising", PENALTY, {"memorised": 0.5}, {"memorised": 0.49}),
        (
            "memorising",
            PENALTY,
            {"memorised": 0.67, "memorised_error": 0.2},
            {"memorised": 0.65, "memorised_error": 0.2},
        ),
        (
            "critic-overfits",
            PENALTY,
            {"training_lead": 4.0, "held_out_estimate": 0.39},
            {"training_lead": 3.9, "held_out_estimate": 0.39},
        ),
        (
            "critic-overfits",
            PENALTY,
            {"training_lead": 40.0, "held_out_estimate": 0.39},
            {"training_lead": 40.0, "held_out_estimate": 0.391},
        ),
        (
            "critic-overfits",
            PENALTY,
            {"training_lead": 2.0, "held_out_estimate": -0.01, "exact_floor": 0.6},
            {"training_lead": 1.9, "held_out_estimate": -0.01, "exact_floor": 0.6},
        ),
        ("momentum", HEAVY, {"exact": 1.8}, {"exact": 1.79}),
        ("momentum", HEAVY, LOST | {"before": {"exact": 4.4}}, {"exact": 4.0, "before": {"exact": 4.5}}),
        ("collapsed", PENALTY, {"coverage": 0.79, "off_support": 0.25}, {"coverage": 0.8, "off_support": 0.25}),
        ("collapsed", PENALTY, {"coverage": 0.3, "off_support": 0.25}, {"coverage": 0.3, "off_support": 0.26}),
        (
            "collapsed",
            PENALTY,
            {"coverage": 0.3, "off_support": 0.1, "exact_floor": 0.5},
            {"coverage": 0.3, "off_support": 0.1, "exact_floor": 0.51},
        ),
        ("critic-not-optimal", PENALTY, {"held_out_estimate": 0.0, "training_estimate": 0.0}, {}),
        ("critic-not-optimal", PENALTY, {"further_estimate": 1.0}, {"further_estimate": 0.99}),
        (
            "critic-not-optimal",
            PENALTY,
            {"further_estimate": 1.0, "exact_floor": 0.5},
            {"further_estimate": 1.0, "exact_floor": 0.51},
        ),
        ("critic-not-optimal", PENALTY, {"exact": 1.8}, {"exact": 1.79}),
    ],
)
def test_each_rule_applies_from_its_threshold_on(kind, settings, at, below):
    assert run(settings, **at).kind == kind
    assert run(settings, **below).kind == "trust"


@pytest.mark.parametrize(("beta1", "kind"), [(0.8, "momentum"), (0.79, "critic-not-optimal")])
def test_small_momentum_is_not_the_fault(beta1, kind):
    assert run(trained_with(critic_optimizer=f"adam:lr=0.002,beta1={beta1}"), **LOST).kind == kind


def test_momentum_is_the_fault_if_the_critic_does_not_keep_up_far_from_the_data():
    behind = {"further_estimate": 9.0}
    assert run(HEAVY, **behind, exact=1.21).kind == "momentum"
    assert run(HEAVY, **behind, exact=1.1).kind == "critic-not-optimal"
    assert run(HEAVY, held_out_estimate=-1.0, exact=1.21).kind == "momentum"
    assert run(PENALTY, **behind, exact=1.21).kind == "critic-not-optimal"
    sideways = {"step_cosine": 0.12}
    assert run(HEAVY, **sideways, exact=1.21).kind == "momentum"
    assert run(HEAVY, **sideways, exact=1.19).kind == "trust"
    assert run(HEAVY, step_cosine=0.13, exact=1.21).kind == "trust"
    assert run(PENALTY, **sideways, exact=1.21).kind == "trust"


def test_every_kind_occurs_and_its_evidence_consists_of_symptoms():
    found = [
        run(),
        run(further_estimate=2.0),
        run(training_lead=9.0, held_out_estimate=0.1),
        run(CLIPPING, slope_climbed=1e-6),
        run(CLIPPING, slope_climbed=1e6),
        run(HEAVY, **LOST),
        run(coverage=0.3, off_support=0.1),
        run(memorised=0.9),
        run(slope_climbed=1e6),
        verdict_of([], PENALTY),
    ]
    assert {each.kind for each in found} == set(KINDS)
    for each in found:
        assert each.evidence.keys() <= SYMPTOMS.keys()
        assert bool(each.evidence) == (each.kind != "cannot-tell")
        assert bool(each.remedy) == (each.kind != "trust")
        assert "\n" not in str(each)
        assert not each.remedy.endswith(".")


WORST = {
    "diverged": {"slope_climbed": 1e6},
    "memorising": {"memorised": 0.9},
    "critic-overfits": {"training_lead": 9.0, "held_out_estimate": -0.1},
    "momentum": LOST,
    "collapsed": {"coverage": 0.3, "off_support": 0.1},
    "critic-not-optimal": {"further_estimate": 9.0},
}


@pytest.mark.parametrize("first", range(len(WORST)))
def test_rules_apply_in_order(first):
    """The verdict on all faults from one on is that one."""
    changes = {
        name: value for kind in list(WORST)[: first - 1 if first else None : -1] for name, value in WORST[kind].items()
    }
    settings = HEAVY if first <= list(WORST).index("momentum") else PENALTY
    assert run(settings, **changes).kind == list(WORST)[first]


@pytest.mark.parametrize(("slope", "kind"), [(1e-6, "clip-too-small"), (1e6, "clip-too-large")])
def test_a_wrong_bound_precedes_its_consequences(slope, kind):
    changes = {name: value for each in list(WORST.values())[::-1] for name, value in each.items()}
    clipped = trained_with(constraint="clipping:bound=0.1", critic_optimizer="adam:beta1=0.9")
    assert run(clipped, **changes | {"slope_climbed": slope, "slope_fake": slope}).kind == kind
    # A critic without clipping has no such fault.
    assert run(PENALTY, slope_climbed=slope).kind == ("trust" if slope < 1 else "diverged")


@pytest.mark.parametrize("num", [1, 2, 3])
def test_few_diagnoses_show_faults_and_nothing_else(num):
    falling = [FORMER | {"exact": 9.0 - place, "estimate": 0.9 - place / 10} for place in range(num)]
    found = verdict_of(falling, PENALTY)
    assert found.kind == "cannot-tell"
    assert "only 1 diagnosis " in found.reason if num == 1 else f"only {num} diagnoses" in found.reason
    assert "--steps" in found.remedy
    assert verdict_of([SOUND | {"further_estimate": 9.0}] * num, PENALTY).kind == "critic-not-optimal"
    # A single diagnosis does not show whether samples are coming nearer.
    assert verdict_of([SOUND | LOST] * num, HEAVY).kind == ("cannot-tell" if num == 1 else "momentum")


def along(distances, estimates, **changes):
    """The verdict on diagnoses with these distances and estimates, otherwise sound."""
    lines = [
        SOUND | {"exact": distance, "exact_low": 0.95 * distance, "estimate": estimate} | changes
        for distance, estimate in zip(distances, estimates, strict=True)
    ]
    return verdict_of(lines, PENALTY)


def test_a_curve_is_trusted_only_if_it_follows_the_distance():
    distances = [2.0, 1.8, 1.6, 1.5, 1.4, 1.3, 1.2, 1.1]
    assert along(distances, distances).kind == "trust"
    # Squared rank differences sum to 30: 1 - 6 * 30 / 504 is .643, the critical value.
    assert along(distances, [3, 8, 7, 6, 5, 4, 2, 1]).evidence["follows"] == pytest.approx(1 - 180 / 504)
    assert along(distances, [3, 8, 7, 6, 5, 4, 2, 1]).kind == "trust"
    found = along(distances, [3, 7, 8, 6, 5, 4, 2, 1])
    assert (found.kind, found.evidence["follows"]) == ("cannot-tell", pytest.approx(1 - 192 / 504))
    assert "does not follow the distance (rank correlation 0.62; 0.64 or more is significant)" in found.reason
    assert "--critic-steps" in found.remedy
    found = along(distances, distances[::-1])
    assert found.kind == "cannot-tell"
    assert "moves against the distance (rank correlation -1.00" in found.reason


def test_a_weak_correlation_is_no_evidence_even_if_significant():
    distances = [3.0 - 0.04 * place for place in range(50)]
    estimates = [value if place % 3 else 4.0 - value for place, value in enumerate(distances)]
    found = along(distances, estimates)
    assert critical_value(50) < found.evidence["follows"] < 0.5
    assert found.kind == "cannot-tell"


def test_a_critic_that_proves_nearly_all_of_the_distance_is_evidence():
    distances, against = [2.0, 1.8, 1.6, 1.4, 1.2], [1.0, 2.0, 3.0, 4.0, 5.0]
    lines = [
        SOUND | {"exact": each, "exact_low": each, "estimate": estimate, "without_critic": each / 2, "certified": share}
        for each, estimate in zip(distances, against, strict=True)
        for share in [each / 2 + 0.91 * each / 2]
    ]
    found = verdict_of(lines, PENALTY)
    assert found.kind == "trust"
    assert "the critic proves 91% of the distance beyond nearest neighbours" in found.reason
    assert verdict_of([line | {"certified": 0.94 * line["exact"]} for line in lines], PENALTY).kind == "cannot-tell"
    # A bound on noise, at the floor, is no evidence.
    assert verdict_of([line | {"exact_low": 0.3} for line in lines], PENALTY).kind == "cannot-tell"


def test_diagnoses_at_the_floor_do_not_count_against_a_curve():
    """At five diagnoses the distance is at its floor: noise, which the curve need not follow."""
    distances = [2.0, 1.5, 1.0, 0.40, 0.42, 0.41, 0.39, 0.43]
    noise = [0.9, 0.8, 0.7, 0.2, 0.1, 0.15, 0.25, 0.05]
    assert along(distances, noise).kind == "trust"
    # The same off the floor.
    found = along(distances, noise, exact_floor=0.3)
    assert found.evidence["follows"] < along(distances, noise).evidence["follows"]


def test_the_exact_distance_does_not_distinguish_photographs_from_noise():
    """As measured after 12 updates: noise of 64x64 pixels against 54 photographs."""
    noise = SOUND | {
        "held_out_estimate": 0.0276, "training_estimate": 0.0319, "further_estimate": 0.0552, "estimate": 0.037,
        "certified": 53.8966, "without_critic": 53.8839, "exact": 54.1057, "exact_low": 52.2222,
        "exact_high": 56.2311, "exact_floor": 52.7943, "sliced": 0.2899, "sliced_floor": 0.101, "efficiency": 0.9961,
    }  # fmt: skip
    for lines in ([noise], [noise] * 8):
        found = verdict_of(lines, PENALTY)
        assert found.kind == "cannot-tell"
        assert "as near as" not in found.reason
        assert "2.9 times as far from held-out rows as other real rows are, by sliced W1" in found.reason
    # Runs of versions without sliced distances.
    found = verdict_of([{name: value for name, value in noise.items() if "sliced" not in name}], PENALTY)
    assert "in so many dimensions the exact W1 cannot tell samples from noise" in found.reason
    # With the sliced distance at its floor too.
    assert "as near as other real rows are" in verdict_of([noise | {"sliced": 0.11}], PENALTY).reason


def test_between_images_a_curve_is_compared_with_the_sliced_distance():
    """The exact distance is noise at its floor; the sliced one falls as the curve does."""

    def line(sliced, exact, estimate):
        return SOUND | {
            "exact": exact, "exact_low": exact - 2, "exact_floor": 52.8, "without_critic": exact - 0.2,
            "certified": exact - 0.15, "sliced": sliced, "sliced_floor": 0.1, "estimate": estimate,
        }  # fmt: skip

    lines = [
        line(sliced, exact, 10 * sliced)
        for sliced, exact in zip([0.9, 0.7, 0.5, 0.3], [52.8, 53.1, 53.0, 53.3], strict=True)
    ]
    assert verdict_of(lines, PENALTY).kind == "trust"
    assert verdict_of([each | {"estimate": 1 / each["estimate"]} for each in lines], PENALTY).kind == "cannot-tell"


def test_one_bad_diagnosis_is_noise_but_one_negative_estimate_in_four_is_not():
    good, bad = SOUND, SOUND | {"further_estimate": 9.0, "memorised": 0.9, "coverage": 0.1, "off_support": 0.1}
    before = [FORMER] * 4
    assert verdict_of([*before, good, bad, good, good], PENALTY).kind == "trust"
    assert (
        verdict_of([*before, good, SOUND | {"held_out_estimate": -0.1}, good, good], PENALTY).kind
        == "critic-not-optimal"
    )


@pytest.mark.parametrize("kind", ["clip-too-small", "clip-too-large", "momentum", "collapsed", "memorising"])
@pytest.mark.parametrize(
    "settings", [UNKNOWN, VerdictSettings.of({"constraint": 3, "critic_optimizer": None, "critic_steps": "many"})]
)
def test_unknown_settings_lead_to_no_fault(kind, settings):
    changes = {
        "clip-too-small": {"slope_climbed": 2e-6},
        "clip-too-large": {"slope_climbed": 2e4},
        "momentum": LOST | {"before": {"exact": 5.0}},
        "collapsed": {"coverage": None, "off_support": 0.1},
        "memorising": {"memorised": None, "memorised_error": None},
    }[kind]
    assert run(settings, **changes).kind == "trust"


@pytest.mark.parametrize("name", [name for name in SOUND if name not in ("step", "held_out_estimate")])
def test_a_missing_number_does_not_hide_other_faults(name):
    for value in (None, float("nan"), "lost"):
        former, line = FORMER | {name: value}, SOUND | {name: value}
        # Without a distance there is nothing to compare the curve with.
        wanted = "cannot-tell" if name == "exact" else "trust"
        assert verdict_of([former, former, line, line], PENALTY).kind == wanted
        if name not in ("memorised", "memorised_error"):
            assert verdict_of([line | {"memorised": 0.9}] * 4, PENALTY).kind == "memorising"


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [{"step": 10, "estimate": 0.3, "critic_loss": -0.2}],
        [{"step": 10, "held_out_estimate": 0.3, "slope_climbed": 2.0}],
        [{"step": 10, "w1": 0.3, "w1_floor": 0.1, "gradient_at_samples": 0.4}],
    ],
)
def test_a_record_without_evidence_cannot_tell(lines):
    found = verdict_of(lines, PENALTY)
    assert found.kind == "cannot-tell"
    assert "--held-out" in found.remedy


def test_without_exact_distances_sliced_ones_are_used():
    former, line = (
        {name: value for name, value in each.items() if not name.startswith("exact") and name != "off_support"}
        for each in (FORMER, SOUND)
    )
    former, line = former | {"sliced": 2.0, "sliced_floor": 0.4}, line | {"sliced": 1.0, "sliced_floor": 0.4}
    assert verdict_of([former, former, line, line], PENALTY).kind == "trust"
    assert verdict_of([line | {"further_estimate": 9.0}] * 4, PENALTY).kind == "critic-not-optimal"


def test_samples_at_the_floor_show_no_fault_of_the_critic():
    near = {
        "exact": 0.43, "further_estimate": 9.0, "held_out_estimate": -0.2, "training_estimate": -0.2, "estimate": -0.2,
    }  # fmt: skip
    found = run(**near, exact_low=0.3)
    assert found.kind == "trust"
    assert "the remaining distance is noise" in found.reason
    # An interval above the floor.
    assert "noise" not in run(**near, exact_low=0.425).reason
    assert "noise" not in run(exact=0.45).reason


def test_a_run_that_was_stopped_has_diverged_whatever_its_record_says():
    reason = "training diverged at step 30: the estimate is nan"
    for lines in ([], [SOUND], [SOUND | {"slope_climbed": 1e-9}]):
        found = verdict_of(lines, CLIPPING, diverged=reason)
        assert found.kind == "diverged"
        assert found.reason == reason
        assert "--critic-optimizer, now 0.0005" in found.remedy


@pytest.mark.parametrize("before", [[], [FORMER, FORMER, SOUND]])
@pytest.mark.parametrize(
    "last", [{"held_out_estimate": float("nan")}, {"held_out_estimate": None}, {"exact_floor": 0.4}]
)
def test_a_last_diagnosis_without_a_finite_estimate_means_divergence(before, last):
    found = verdict_of([*before, {"step": 9, **last}, {"step": 10, "estimate": 3.0}], PENALTY)
    assert (found.kind, found.reason) == ("diverged", "the critic's estimate is not finite")
    after = verdict_of([*before, {"step": 9, **last}, SOUND], PENALTY)
    assert after.kind == ("trust" if before else "cannot-tell")


@pytest.mark.parametrize(
    ("settings", "changes", "wanted"),
    [
        (CLIPPING, {"slope_climbed": 1e-6}, "clipping:bound=1)"),
        (CLIPPING, {"slope_climbed": 1e6}, "clipping:bound=0.01)"),
        (VerdictSettings.of({"constraint": "clipping"}), {"slope_climbed": 1e-6}, "clipping:bound=0.1)"),
        (trained_with(constraint="none"), {"slope_climbed": 1e6}, "constrain the critic: --constraint penalty"),
        (
            PENALTY,
            {"further_estimate": 9.0},
            "Raise --critic-steps (2 so far), or train to optimality (--optimality 0.05)",
        ),
        (UNKNOWN, {"further_estimate": 9.0}, "Raise --critic-steps, or"),
        (HEAVY, LOST, "adam with beta1=0 (--critic-optimizer"),
    ],
)
def test_a_remedy_names_settings_and_their_values(settings, changes, wanted):
    assert wanted in run(settings, **changes).remedy


def test_remedies_name_settings_that_exist():
    known = {f"--{name.replace('_', '-')}" for name in Settings.__dataclass_fields__} | {"--held-out"}
    cases = [
        ({"slope_climbed": 1e6}, trained_with(constraint="none")),
        ({"slope_climbed": 1e-6}, CLIPPING),
        ({"slope_climbed": 1e6}, CLIPPING),
        *((changes, HEAVY) for changes in WORST.values()),
    ]
    named = set()
    for changes, settings in cases:
        words = run(settings, **changes).remedy.replace("(", " ").replace(")", " ").replace(",", " ").split()
        named |= {word.rstrip(";:") for word in words if word.startswith("--")}
    assert named <= known
    assert {"--constraint", "--critic-steps", "--optimality", "--packing", "--steps"} <= named


def test_settings_are_looked_up_with_their_defaults():
    found = VerdictSettings.of({"constraint": "clipping", "critic_optimizer": "rmsprop", "generator_optimizer": "adam"})
    assert (found.bound, found.critic_lr, found.generator_lr, found.momentum) == (0.01, 5e-5, 1e-4, 0.0)
    found = VerdictSettings.of({"objective": "wasserstein", "constraint": "none", "critic_optimizer": "nosuch:lr=1"})
    assert found == VerdictSettings(is_wasserstein=True, is_unconstrained=True)


def test_importing_the_verdict_does_not_import_torch():
    code = "import sys, wgan.trust.verdict; print(*[name for name in ('torch', 'numpy') if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.split() == []


def test_thresholds_are_documented_and_used():
    """Each constant is followed by a docstring, and is used by a rule."""
    text = Path(thresholds.__file__).read_text(encoding="utf-8")
    used = "".join(Path(module.__file__).read_text(encoding="utf-8") for module in (verdict, faults, symptoms))
    names = [name for name, value in vars(thresholds).items() if isinstance(value, float)]
    assert len(names) >= 15
    for name in names:
        assert text[text.index(f"\n{name} = ") :].split("\n", 3)[2].startswith('"""'), name
        # Imported, and used.
        assert used.count(name) >= 2, name


@pytest.mark.parametrize(
    ("lead", "clause"),
    [(1.2, "score 1.2 standard errors higher than held-out rows"), (-1.2, "score no higher than held-out rows")],
)
def test_a_negative_lead_is_reported_as_none(lead, clause):
    assert f"training rows {clause}" in str(run(training_lead=lead))
