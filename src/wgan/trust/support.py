"""What speaks for a critic's number, where nothing speaks against it; without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wgan.trust.nearness import is_blind, is_near, number, ratio
from wgan.trust.ranks import beyond_chance
from wgan.trust.thresholds import FEWEST_LOOKS, FOLLOWS, OFF, PROVES, SLICED_AT_FLOOR

IN_MANY_DIMENSIONS = "in so many dimensions the exact W1 cannot tell samples from noise: its floor is nearly all of it"
"""What is said of an exact W1 that `is_blind`, as a clause."""


def is_supported(seen: Mapping[str, float]) -> bool:
    """Whether evidence speaks for the number.

    Args:
        seen: Symptoms, by the names of `wgan.trust.symptoms.MEANING`.
    """
    return seen["looks"] >= FEWEST_LOOKS and (_does_follow(seen) or seen.get("proves", 0.0) >= PROVES)


def supported(seen: Mapping[str, float]) -> str:
    """What speaks for the number, as a clause."""
    if _does_follow(seen):
        return (
            f"over {seen['looks']:.0f} looks the critic's estimate follows the distance (rank correlation "
            f"{seen['follows']:.2f})"
        )
    return f"over {seen['looks']:.0f} looks the critic proves {seen['proves']:.0%} of what nearest neighbours leave"


def unsupported(seen: Mapping[str, float]) -> tuple[str, str]:
    """Why nothing speaks for the number, and what to do: two clauses."""
    num = int(seen["looks"])
    looks = "1 look" if num == 1 else f"{num} looks"
    if num < FEWEST_LOOKS:
        reason = f"there has been only {looks}" if num == 1 else f"there have been only {looks}"
        return (
            f"{reason} at the critic, and no fewer than {FEWEST_LOOKS} show whether its estimate follows the distance",
            "Train for more --steps",
        )
    go_by = "go by the distances beside their floors instead"
    if "follows" not in seen:
        return f"over {looks} no distance was measured that its estimate could be seen to follow", go_by.capitalize()
    compared = _num_compared(seen)
    if compared < FEWEST_LOOKS:
        return (
            f"only {compared} of {looks} measured a distance, too few to show whether the critic's estimate follows it",
            go_by.capitalize(),
        )
    way = "moves against" if seen["follows"] <= -_needed(compared) else "does not follow"
    return (
        f"over {looks} the critic's estimate {way} the distance (rank correlation {seen['follows']:.2f}; from "
        f"{_needed(compared):.2f} on it is more than chance)",
        f"Train the critic nearer to its optimum (--critic-steps, --optimality 0.05), or {go_by}",
    )


def said_of_samples(line: Mapping[str, Any]) -> list[str]:
    """What a look can tell of samples, beside what other real rows would show: no clause or one.

    Args:
        line: The look.
    """
    near, exact, sliced = (
        is_near(line), ratio(line, "exact", "exact_floor"), ratio(line, "sliced", "sliced_floor"),
    )  # fmt: skip
    if near:
        return ["samples are as near as other real rows are, and what is left is noise"]
    if exact is not None and exact >= OFF:
        return [f"samples are {exact:.2g} times as far from held-out rows as other real rows are"]
    if sliced is not None and sliced > SLICED_AT_FLOOR:
        return [f"samples are {sliced:.2g} times as far from held-out rows as other real rows are, by sliced W1"]
    if near is None and number(line, "exact") is not None and is_blind(line):
        return [IN_MANY_DIMENSIONS]
    return []


def _does_follow(seen: Mapping[str, float]) -> bool:
    return seen.get("follows", -1.0) >= _needed(_num_compared(seen))


def _num_compared(seen: Mapping[str, float]) -> int:
    """The looks at which both the estimate and a distance are known."""
    return int(seen.get("compared", 0))


def _needed(num: int) -> float:
    """The rank correlation that counts as following over so many looks."""
    return max(FOLLOWS, beyond_chance(num))
