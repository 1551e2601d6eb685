"""Experiments with a claim: the failures of the original GAN, what the loss proves, and how distances compare."""

from dataclasses import dataclass

__all__ = ["Claim"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim in numbers.

    Attributes:
        text: What is claimed.
        measured: The measured number.
        wanted: The condition on it.
        holds: Whether the condition is met.
    """

    text: str
    measured: str
    wanted: str
    holds: bool
