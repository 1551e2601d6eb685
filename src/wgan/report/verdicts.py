"""The verdict on a run's loss, from its record."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wgan.report.record import Record

if TYPE_CHECKING:
    from wgan.trust.verdict import Verdict

_TITLES = {
    "trust": "Trust it",
    "critic-not-optimal": "The critic is not yet optimal",
    "critic-overfits": "The critic overfits",
    "clip-too-small": "The bound on the critic's weights is too small",
    "clip-too-large": "The bound on the critic's weights is too large",
    "momentum": "Momentum makes it unstable",
    "collapsed": "The generator has collapsed",
    "memorising": "The generator memorises",
    "diverged": "Nothing of it can be trusted",
    "cannot-tell": "Undecided",
}
_DIVERGED = re.compile(r"training diverged at step (?P<step>[\d,]+): (?P<how>.+?)(?:\. The last good .*)?", re.DOTALL)


def title_of(verdict: Verdict) -> str:
    """The verdict in a few words."""
    return _TITLES.get(verdict.kind, verdict.kind.replace("-", " ").capitalize())


def line_of(verdict: Verdict) -> str:
    """The verdict, its reason and its remedy in a line."""
    return " ".join(filter(None, (f"{title_of(verdict)}.", sentence(verdict.reason), sentence(verdict.remedy))))


def sentence(text: str) -> str:
    """The text with a capital and a full stop."""
    stripped = text.strip()
    return stripped[:1].upper() + stripped[1:] + ("" if stripped[-1:] in (".", "?", "!", "") else ".")


def verdict_of(record: Record) -> Verdict:
    """Judge what a run has recorded of its critic."""
    from wgan.trust.verdict import verdict_of

    facts = dict(record.settings)
    if record.divergence is not None:
        found = _DIVERGED.fullmatch(record.divergence)
        facts["diverged"] = record.divergence if found is None else f"{found['how']} at step {found['step']}"
    return verdict_of(record.looks, facts)
