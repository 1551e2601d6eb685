"""The faults that a verdict can name, each with the rule that recognises it.

The rules are applied in the order of `RULES`, and the first that applies decides. This module does not import torch,
except to look up the parts that the words of the settings name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from wgan.errors import UsageError
from wgan.trust.thresholds import (
    DIVERGED_DISTANCE,
    DIVERGED_SLOPE,
    EXPLODED_SLOPE,
    FAR,
    FURTHER_RISE,
    HIGH_MOMENTUM,
    LOW_COVERAGE,
    LOW_STEP_COSINE,
    MEMORISED_ERRORS,
    MEMORISED_SHARE,
    NEGATIVE_SHARE,
    OFF_FLOOR,
    ON_SUPPORT,
    OVERFITTED_LEAD,
    OVERFITTED_LEAD_OPPOSITE,
    OVERFITTED_SHARE,
    STALLED,
    VANISHED_SLOPE,
)

FaultKind = Literal[
    "critic-not-optimal",
    "critic-overfits",
    "clip-too-small",
    "clip-too-large",
    "momentum",
    "collapsed",
    "memorising",
    "diverged",
]

Symptoms: TypeAlias = Mapping[str, float]
"""Symptoms by their names in `wgan.trust.symptoms.SYMPTOMS`."""


class Fault(NamedTuple):
    """A fault of a run.

    Attributes:
        kind: Which one.
        reason: Why, in numbers.
        remedy: What to do, by the names of settings.
        evidence: Names of the symptoms that led to it.
    """

    kind: FaultKind
    reason: str
    remedy: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class VerdictSettings:
    """The settings that a verdict depends on; None for one that is not known.

    Attributes:
        is_wasserstein: Whether the objective is the Wasserstein loss.
        is_unconstrained: Whether the critic has no constraint.
        bound: The bound that the critic's weights are clipped to; None without clipping.
        critic_lr: Learning rate of the critic's optimiser.
        generator_lr: Learning rate of the generator's optimiser.
        momentum: beta1 of the critic's optimiser.
        critic_steps: Critic updates for each generator update.
    """

    is_wasserstein: bool = False
    is_unconstrained: bool = False
    bound: float | None = None
    critic_lr: float | None = None
    generator_lr: float | None = None
    momentum: float = 0.0
    critic_steps: int | None = None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> VerdictSettings:
        """Look up the words of a run's settings ("clipping:bound=0.01") in their registries; imports torch.

        Args:
            settings: Setting to value. Any may be missing. Nothing is known of a word that no registry can build.
        """
        from wgan.constraints import Unconstrained, WeightClipping
        from wgan.objectives import Wasserstein
        from wgan.training.factory import REGISTRIES

        parts: dict[str, object] = {}
        for setting, registry in REGISTRIES.items():
            word = settings.get(setting)
            if isinstance(word, str):
                with contextlib.suppress(UsageError):
                    parts[setting] = registry.build(word)
        constraint, critic, steps = parts.get("constraint"), parts.get("critic_optimizer"), settings.get("critic_steps")
        return cls(
            is_wasserstein=isinstance(parts.get("objective"), Wasserstein),
            is_unconstrained=isinstance(constraint, Unconstrained),
            bound=constraint.bound if isinstance(constraint, WeightClipping) else None,
            critic_lr=getattr(critic, "lr", None),
            generator_lr=getattr(parts.get("generator_optimizer"), "lr", None),
            momentum=getattr(critic, "beta1", 0.0),
            critic_steps=steps if isinstance(steps, int) else None,
        )

    @property
    def is_clipped(self) -> bool:
        """Whether the critic's weights are clipped."""
        return self.bound is not None


def diverged(reason: str, settings: VerdictSettings, *evidence: str, remedy: str = "") -> Fault:
    """A run that diverged.

    Args:
        reason: How.
        settings: Of the run.
        evidence: Names of the symptoms that show it.
        remedy: A clause in addition to that on the learning rates.
    """
    lower = (
        f"Train again with a tenth of the learning rates or less ({_lr('generator', settings.generator_lr)}, "
        f"{_lr('critic', settings.critic_lr)})"
    )
    return Fault("diverged", reason, lower + remedy, evidence)


def _diverged(seen: Symptoms, settings: VerdictSettings) -> Fault | None:
    if seen.get("exact_over_floor", 0.0) >= DIVERGED_DISTANCE:
        reason = f"samples are {seen['exact_over_floor']:,.0f} times as far from held-out rows as other real rows are"
        return diverged(reason, settings, "exact_over_floor")
    if not settings.is_clipped and seen.get("slope", 0.0) >= DIVERGED_SLOPE:
        remedy = ", and constrain the critic: --constraint penalty, or clipping" if settings.is_unconstrained else ""
        return diverged(f"the critic's slope has grown to {seen['slope']:.3g}", settings, "slope", remedy=remedy)
    if not _is_vanished(seen, settings) and seen.get("slope_at_samples") == 0.0:
        reason = "the critic's slope is 0 at all samples: the generator gets no gradient"
        return diverged(reason, settings, "slope_at_samples", "exact_over_floor")
    return None


def _clip_too_small(seen: Symptoms, settings: VerdictSettings) -> Fault | None:
    if settings.bound is None or not _is_vanished(seen, settings):
        return None
    reason = (
        f"the critic's weights are clipped at {settings.bound:g}, and its slope is at most {seen['slope']:.2g}: its "
        "gradient vanishes"
    )
    remedy = (
        f"Raise the bound (--constraint clipping:bound={10 * settings.bound:g}), use a critic of fewer layers, or "
        "--constraint penalty"
    )
    return Fault("clip-too-small", reason, remedy, ("slope", "at_bound"))


def _is_vanished(seen: Symptoms, settings: VerdictSettings) -> bool:
    return settings.is_clipped and "slope" in seen and seen["slope"] <= VANISHED_SLOPE


def _clip_too_large(seen: Symptoms, settings: VerdictSettings) -> Fault | None:
    if settings.bound is None or seen.get("slope", 0.0) < EXPLODED_SLOPE:
        return None
    at_bound = f" ({seen['at_bound']:.0%} of them are at the bound)" if "at_bound" in seen else ""
    reason = (
        f"the critic's weights are clipped at {settings.bound:g}{at_bound}, and its slope is {seen['slope']:.2g}: its "
        "gradient explodes"
    )
    remedy = (
        f"Lower the bound (--constraint clipping:bound={settings.bound / 10:g}), use a critic of fewer layers, or "
        "--constraint penalty"
    )
    return Fault("clip-too-large", reason, remedy, ("slope", "at_bound", "exact_over_floor"))


def _memorising(seen: Symptoms, settings: VerdictSettings) -> Fault | None:
    memorised, error = seen.get("memorised"), seen.get("memorised_error")
    if memorised is None or error is None or memorised < max(MEMORISED_SHARE, MEMORISED_ERRORS * error):
        return None
    reason = f"{memorised:.0%} of the samples are nearer to training rows than chance explains"
    remedy = "Train on more rows, for fewer --steps, or with a narrower generator"
    return Fault("memorising", reason, remedy, ("memorised", "memorised_error", "overfitting"))


def _overfits(seen: Symptoms, settings: VerdictSettings) -> Fault | None:
    lead, missing = seen.get("training_lead"), seen.get("overfitting")
    if lead is None or missing is None or missing < OVERFITTED_SHARE:
        return None
    if lead < (OVERFITTED_LEAD if missing < 1 else OVERFITTED_LEAD_OPPOSITE):
        return None
    share = "all" if missing >= 1 else f"{missing:.0%}"
    reason = (
        f"{share} of the training estimate is missing on held-out rows, and training rows score {lead:.1f} standard "
        "errors higher"
    )
    remedy = "Train on more rows, with a narrower critic, a stronger --constraint, or fewer --critic-steps"
    return Fault("critic-overfits", reason, remedy, ("overfitting", "training_lead"))


def _momentum(seen: Symptoms, settings: VerdictSettings) -> Fault | None:
    is_behind = seen.get("negative", 0.0) >= NEGATIVE_SHARE or seen.get("rise", 0.0) >= FURTHER_RISE
    has_symptom = is_behind or seen.get("step_cosine", 1.0) <= LOW_STEP_COSINE
    if settings.momentum < HIGH_MOMENTUM or not (_is_stalled(seen) or (has_symptom and _is_far(seen))):
        return None
    cosine = f", whose step has a cosine of {seen['step_cosine']:.2f} to descent" if "step_cosine" in seen else ""
    reason = f"{_how_far(seen)}, with momentum {settings.momentum:g} in the critic's optimiser{cosine}"
    remedy = (
        "Train without momentum: rmsprop, or adam with beta1=0 (--critic-optimizer, --generator-optimizer), or with a "
        "tenth of the learning rates"
    )
    return Fault("momentum", reason, remedy, ("step_cosine", "exact_over_floor", "exact_over_best"))


def _collapsed(seen: Symptoms, settings: VerdictSettings) -> Fault | None:
    coverage, off_support = seen.get("coverage"), seen.get("off_support_over_exact")
    is_off = seen.get("exact_over_floor", 0.0) >= OFF_FLOOR
    if coverage is None or off_support is None or coverage >= LOW_COVERAGE or off_support > ON_SUPPORT or not is_off:
        return None
    reason = f"samples are close to the data, but only {coverage:.0%} of the held-out rows have samples around them"
    remedy = "Pack samples (--packing 4), or train the critic to optimality (--optimality 0.05)"
    if not settings.is_wasserstein:
        remedy += ", or use a Wasserstein critic (--objective wasserstein, --constraint penalty)"
    return Fault("collapsed", reason, remedy, ("coverage", "off_support_over_exact", "exact_over_floor"))


def _not_optimal(seen: Symptoms, settings: VerdictSettings) -> Fault | None:
    if seen.get("exact_over_floor", 0.0) < OFF_FLOOR:
        return None
    negative, rise = seen.get("negative", 0.0), seen.get("rise", 0.0)
    if negative >= NEGATIVE_SHARE:
        when = "any recent diagnosis" if negative == 1.0 else f"{negative:.0%} of the recent diagnoses"
        reason = f"the estimate was not positive at {when}, as it is for an optimal critic"
    elif rise >= FURTHER_RISE:
        reason = (
            f"a copy of the critic trained a little further estimates {1 / (1 - min(rise, 0.99)):.1f} times as much"
        )
    elif _is_stalled(seen):
        reason = _how_far(seen)
    else:
        return None
    steps = "" if settings.critic_steps is None else f" ({settings.critic_steps} so far)"
    remedy = (
        f"Raise --critic-steps{steps}, or train to optimality (--optimality 0.05). If that does not help, raise the "
        "critic's learning rate or width, or lower the generator's learning rate"
    )
    return Fault("critic-not-optimal", reason, remedy, ("negative", "rise", "exact_over_floor", "exact_over_best"))


RULES: tuple[Callable[[Symptoms, VerdictSettings], Fault | None], ...] = (
    _diverged,
    _clip_too_small,
    _clip_too_large,
    _memorising,
    _overfits,
    _momentum,
    _collapsed,
    _not_optimal,
)
"""The rules in order. The cause of a fault is before its consequences."""


def _is_far(seen: Symptoms) -> bool:
    return seen.get("exact_over_floor", 0.0) >= FAR


def _is_stalled(seen: Symptoms) -> bool:
    """Whether samples are far from the data and not coming nearer."""
    return _is_far(seen) and seen.get("exact_over_best", 0.0) >= STALLED


def _how_far(seen: Symptoms) -> str:
    stalled = " and are not coming nearer" if _is_stalled(seen) else ""
    return f"samples are {seen['exact_over_floor']:.3g} times as far from held-out rows as other real rows are{stalled}"


def _lr(player: str, lr: float | None) -> str:
    return f"--{player}-optimizer" if lr is None else f"--{player}-optimizer, now {lr:g}"
