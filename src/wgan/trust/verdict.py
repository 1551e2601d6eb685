"""The verdict on a critic's number: whether it can be believed, or what is wrong, from recorded numbers alone.

Nothing here imports torch: reports and comparisons read it too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from wgan.trust.nearness import number
from wgan.trust.support import is_supported, said_of_samples, supported, unsupported
from wgan.trust.symptoms import Line, looks_of, symptoms
from wgan.trust.thresholds import (
    ASTRAY,
    COPIED,
    COPIED_ERRORS,
    EXPLODED,
    FAR,
    HEAVY,
    LEAD,
    LEAD_AGAINST,
    LOST,
    NEGATIVE,
    NO_NEARER,
    OFF,
    OVERFITTED,
    REACHED,
    RISE,
    RUNAWAY,
    SIDEWAYS,
    VANISHED,
)

Kind = Literal[
    "trust",
    "critic-not-optimal",
    "critic-overfits",
    "clip-too-small",
    "clip-too-large",
    "momentum",
    "collapsed",
    "memorising",
    "diverged",
    "cannot-tell",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What a verdict can be; the last is of runs in which nothing is found wrong, and too little speaks for the number."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is to be thought of a critic's number.

    Attributes:
        kind: One of `KINDS`.
        reason: Why, in numbers.
        remedy: What to do, by the names of settings; empty where nothing is wrong.
        evidence: The numbers that led to it, by the names of `wgan.trust.symptoms.MEANING`.
    """

    kind: Kind
    reason: str
    remedy: str = ""
    evidence: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line."""
        return f"{self.kind}: {self.reason}" + (f". {self.remedy}" if self.remedy else "")


DEFAULTS: dict[str, dict[str, float]] = {
    "clipping": {"bound": 0.01},
    "rmsprop": {"lr": 5e-5},
    "adam": {"lr": 1e-4, "beta1": 0.0},
}
"""What words leave out; the tables themselves would import torch."""


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """What of the settings matters here; None where it is not known."""

    objective: str | None
    constraint: str | None
    bound: float | None
    critic_rate: float | None
    generator_rate: float | None
    momentum: float
    critic_steps: int | None
    diverged: str | None

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> _Facts:
        constraint, held = _word(facts.get("constraint"))
        _, critic = _word(facts.get("critic_optimizer"))
        _, generator = _word(facts.get("generator_optimizer"))
        steps = facts.get("critic_steps")
        return cls(
            objective=_word(facts.get("objective"))[0],
            constraint=constraint,
            bound=held.get("bound"),
            critic_rate=critic.get("lr"),
            generator_rate=generator.get("lr"),
            momentum=critic.get("beta1", 0.0),
            critic_steps=steps if isinstance(steps, int) else None,
            diverged=str(facts["diverged"]) if facts.get("diverged") else None,
        )

    @property
    def is_clipped(self) -> bool:
        return self.constraint == "clipping"


# What is not finite is left out of a record, and its absence shows it.
_OF_EVERY_LOOK = ("held_out_estimate", "exact_floor", "sliced_floor")

_Symptoms: TypeAlias = Mapping[str, float]
_Rule: TypeAlias = Callable[[_Symptoms, _Facts], Verdict | None]


def verdict_of(lines: Sequence[Line], facts: Mapping[str, Any]) -> Verdict:
    """Say whether a critic's number can be believed.

    The rules are asked in turn, and the first that applies decides: what leaves nothing to be told (diverged), what is
    wrong with the bound on the weights, what was memorised, what momentum did, which modes are lost, and at last
    whether the critic is at its optimum. Each goes by medians over the latest looks, at most `RECENT` of them.

    Args:
        lines: Lines of a run's record, in order; those without evidence are passed over.
        facts: The run's settings by their names, words as they are written ("clipping:bound=0.01"); and "diverged", a
            clause that says how, of a run that was stopped for it. Any of them may be missing: a rule that needs what
            is not there does not apply.

    Returns:
        Where no rule applies: "trust" where evidence speaks for the number, that is, where its curve follows the
        distance over enough looks, or the critic proves nearly all of the distance by itself; and else "cannot-tell".
    """
    known, looks = _Facts.of(facts), looks_of(lines)
    seen = symptoms(looks) if looks else {}
    looked_at = [line for line in lines if any(name in line for name in _OF_EVERY_LOOK)]
    if known.diverged is None and looked_at and number(looked_at[-1], "held_out_estimate") is None:
        known = dataclasses.replace(known, diverged="the critic's estimate is not finite")
    for rule in _RULES:
        found = rule(seen, known)
        if found is not None:
            return found
    if not {"exact_over_floor", "training_lead", "overfitting"} & seen.keys():
        return Verdict(
            kind="cannot-tell",
            reason="the record holds no evidence on the critic",
            remedy="Train with --diagnose auto, and with rows held out (--held-out above 0)",
        )
    return _trust(seen, looks[-1]) if is_supported(seen) else _cannot_tell(seen, looks[-1])


def _diverged(seen: _Symptoms, facts: _Facts) -> Verdict | None:
    remedy = (
        f"Begin again with a tenth of the learning rates or less ({_rate('generator', facts.generator_rate)}, "
        f"{_rate('critic', facts.critic_rate)})"
    )
    if facts.diverged is not None:
        return Verdict(kind="diverged", reason=facts.diverged, remedy=remedy)
    if seen.get("exact_over_floor", 0.0) >= FAR:
        reason = f"samples are {seen['exact_over_floor']:,.0f} times as far from held-out rows as other real rows are"
        return _verdict("diverged", reason, remedy, seen, "exact_over_floor")
    if not facts.is_clipped and seen.get("slope", 0.0) >= RUNAWAY:
        reason = f"the critic's slope has grown to {seen['slope']:.3g}"
        if facts.constraint == "none":
            remedy += "; and hold the critic: --constraint penalty, or clipping"
        return _verdict("diverged", reason, remedy, seen, "slope")
    if not _is_vanished(seen, facts) and seen.get("slope_at_samples") == 0.0:
        reason = "the critic has no slope at all where the samples are: no gradient reaches the generator"
        return _verdict("diverged", reason, remedy, seen, "slope_at_samples", "exact_over_floor")
    return None


def _clip_too_small(seen: _Symptoms, facts: _Facts) -> Verdict | None:
    if not _is_vanished(seen, facts):
        return None
    reason = f"clipped at {_bound(facts)} the critic is no steeper than {seen['slope']:.2g}: its gradient vanishes"
    wider = "" if facts.bound is None else f":bound={10 * facts.bound:g}"
    remedy = f"Widen the clip (--constraint clipping{wider}), give the critic fewer layers, or use --constraint penalty"
    return _verdict("clip-too-small", reason, remedy, seen, "slope", "at_bound")


def _is_vanished(seen: _Symptoms, facts: _Facts) -> bool:
    return facts.is_clipped and "slope" in seen and seen["slope"] <= VANISHED


def _clip_too_large(seen: _Symptoms, facts: _Facts) -> Verdict | None:
    if not facts.is_clipped or seen.get("slope", 0.0) < EXPLODED:
        return None
    at_bound = f", and {seen['at_bound']:.0%} of its weights are at the bound" if "at_bound" in seen else ""
    reason = (
        f"clipped at {_bound(facts)} the critic is as steep as {seen['slope']:.2g}{at_bound}: its gradient explodes"
    )
    tighter = "" if facts.bound is None else f":bound={facts.bound / 10:g}"
    remedy = (
        f"Tighten the clip (--constraint clipping{tighter}), give the critic fewer layers, or use --constraint penalty"
    )
    return _verdict("clip-too-large", reason, remedy, seen, "slope", "at_bound", "exact_over_floor")


def _memorising(seen: _Symptoms, facts: _Facts) -> Verdict | None:
    memorised, error = seen.get("memorised"), seen.get("memorised_error")
    if memorised is None or error is None or memorised < max(COPIED, COPIED_ERRORS * error):
        return None
    reason = f"{memorised:.0%} of the samples are nearer to training rows than chance would have them"
    remedy = "Give more rows, train for fewer --steps, or give the generator less width"
    return _verdict("memorising", reason, remedy, seen, "memorised", "memorised_error", "overfitting")


def _overfits(seen: _Symptoms, facts: _Facts) -> Verdict | None:
    lead, missing = seen.get("training_lead"), seen.get("overfitting")
    if lead is None or missing is None or missing < OVERFITTED or lead < (LEAD if missing < 1 else LEAD_AGAINST):
        return None
    told = "all" if missing >= 1 else f"{missing:.0%}"
    reason = (
        f"{told} of the training estimate is missing on held-out rows, and training rows score {lead:.1f} standard "
        "errors higher"
    )
    remedy = "Give more rows, a critic with less width, a stronger --constraint, or fewer --critic-steps"
    return _verdict("critic-overfits", reason, remedy, seen, "overfitting", "training_lead")


def _momentum(seen: _Symptoms, facts: _Facts) -> Verdict | None:
    is_behind = seen.get("negative", 0.0) >= NEGATIVE or seen.get("rise", 0.0) >= RISE
    is_amiss = is_behind or seen.get("step_cosine", 1.0) <= SIDEWAYS
    if facts.momentum < HEAVY or not (_is_lost(seen) or (is_amiss and _is_far(seen))):
        return None
    cosine = f", and its step is at a cosine of {seen['step_cosine']:.2f} to it" if "step_cosine" in seen else ""
    reason = f"{_how_far(seen)}, while the critic keeps {facts.momentum:g} of each gradient for the next{cosine}"
    remedy = (
        "Take the momentum away: rmsprop, or adam with beta1=0 (--critic-optimizer, --generator-optimizer), or a tenth "
        "of the rates"
    )
    return _verdict("momentum", reason, remedy, seen, "step_cosine", "exact_over_floor", "exact_over_best")


def _collapsed(seen: _Symptoms, facts: _Facts) -> Verdict | None:
    coverage, off_support = seen.get("coverage"), seen.get("off_support_over_exact")
    is_off = seen.get("exact_over_floor", 0.0) >= OFF
    if coverage is None or off_support is None or coverage >= REACHED or off_support > ASTRAY or not is_off:
        return None
    reason = f"samples lie where the data is, but only {coverage:.0%} of the held-out rows have any around them"
    remedy = "Pack samples (--packing 4), or train the critic to optimality (--optimality 0.05)"
    if facts.objective != "wasserstein":
        remedy += ", or take a Wasserstein critic (--objective wasserstein, --constraint penalty)"
    return _verdict("collapsed", reason, remedy, seen, "coverage", "off_support_over_exact", "exact_over_floor")


def _not_optimal(seen: _Symptoms, facts: _Facts) -> Verdict | None:
    if seen.get("exact_over_floor", 0.0) < OFF:
        return None
    negative, rise = seen.get("negative", 0.0), seen.get("rise", 0.0)
    if negative >= NEGATIVE:
        reason = "the estimate was not positive, as it would be for an optimal critic, " + (
            "at any recent look" if negative == 1.0 else f"at {negative:.0%} of the recent looks"
        )
    elif rise >= RISE:
        reason = f"trained a little further, the critic would estimate {1 / (1 - min(rise, 0.99)):.1f} times as much"
    elif _is_lost(seen):
        reason = _how_far(seen)
    else:
        return None
    steps = "" if facts.critic_steps is None else f" ({facts.critic_steps} so far)"
    remedy = (
        f"Raise --critic-steps{steps}, or train to optimality (--optimality 0.05). If that does not help, raise the "
        "critic's learning rate or width, or lower the generator's learning rate"
    )
    return _verdict(
        "critic-not-optimal", reason, remedy, seen, "negative", "rise", "exact_over_floor", "exact_over_best"
    )


def _is_far(seen: _Symptoms) -> bool:
    return seen.get("exact_over_floor", 0.0) >= LOST


def _is_lost(seen: _Symptoms) -> bool:
    """Whether samples are far from the data and come no nearer."""
    return _is_far(seen) and seen.get("exact_over_best", 0.0) >= NO_NEARER


def _how_far(seen: _Symptoms) -> str:
    still = ", and come no nearer" if _is_lost(seen) else ""
    return f"samples are {seen['exact_over_floor']:.3g} times as far from held-out rows as other real rows are{still}"


_RULES: tuple[_Rule, ...] = (
    _diverged,
    _clip_too_small,
    _clip_too_large,
    _memorising,
    _overfits,
    _momentum,
    _collapsed,
    _not_optimal,
)


def _trust(seen: _Symptoms, last: Line) -> Verdict:
    said = [supported(seen), *_said_of_critic(seen, last), *said_of_samples(last)]
    names = (
        "follows", "looks", "efficiency", "overfitting", "training_lead", "rise", "exact_over_floor",
        "sliced_over_floor", "coverage",
    )  # fmt: skip
    return _verdict("trust", "; ".join(said), "", seen, *names)


def _cannot_tell(seen: _Symptoms, last: Line) -> Verdict:
    reason, remedy = unsupported(seen)
    said = [reason, *_said_of_critic(seen, last), *said_of_samples(last)]
    names = ("looks", "follows", "proves", "efficiency", "exact_over_floor", "sliced_over_floor")
    return _verdict("cannot-tell", "; ".join(said), remedy, seen, *names)


def _said_of_critic(seen: _Symptoms, last: Line) -> list[str]:
    """What the critic proves, and by how much it prefers rows that it was trained on."""
    said = []
    certified, exact, low, high = (number(last, name) for name in ("certified", "exact", "exact_low", "exact_high"))
    if certified is not None and exact is not None and exact > 0:
        interval = "" if low is None or high is None else f", 95 % interval {low:.3g} to {high:.3g}"
        alone = number(last, "without_critic")
        # Between images nearest neighbours prove nearly all of the distance, and the critic's share says little.
        neighbours = f", of which nearest neighbours alone prove {alone:.3g}" if alone and alone > certified / 2 else ""
        said.append(
            f"the critic proves {certified:.3g}, {certified / exact:.0%} of the exact W1 "
            f"({exact:.3g}{interval}){neighbours}"
        )
    if "training_lead" in seen:
        lead = seen["training_lead"]
        ahead = f"lead held-out rows by {lead:.1f} standard errors" if lead >= 0.05 else "do not lead held-out rows"
        said.append(f"training rows {ahead} in its scores")
    return said


def _verdict(kind: Kind, reason: str, remedy: str, seen: _Symptoms, *names: str) -> Verdict:
    return Verdict(
        kind=kind, reason=reason, remedy=remedy, evidence={name: seen[name] for name in names if name in seen}
    )


def _bound(facts: _Facts) -> str:
    return "its bound" if facts.bound is None else f"{facts.bound:g}"


def _rate(player: str, lr: float | None) -> str:
    return f"--{player}-optimizer" if lr is None else f"--{player}-optimizer, now {lr:g}"


def _word(text: object) -> tuple[str | None, dict[str, float]]:
    """The name of a word and its numbers, with those that it leaves out where they matter here."""
    if not isinstance(text, str):
        return None, {}
    name, _, rest = text.strip().partition(":")
    found = dict(DEFAULTS.get(name, {}))
    for part in rest.split(","):
        key, _, value = part.partition("=")
        try:
            found[key.strip().replace("-", "_")] = float(value)
        except ValueError:
            continue
    return name, found
