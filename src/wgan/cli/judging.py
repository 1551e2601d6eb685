"""What a judge found, in lines that a person reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wgan.cli.tables import quantile_table, rendered

_NUM_COLUMNS = 10


def lines(evaluation: Mapping[str, Any]) -> Iterator[str]:
    """A line for each number, distances beside their floors; nothing for an empty evaluation."""
    from wgan.evaluation.metrics import other_numbers
    from wgan.report.evaluations import conditional_accuracies, read_columns, score_drop
    from wgan.report.words import distance_name, significant

    for key, value in evaluation.items():
        floor = evaluation.get(f"{key}_floor")
        if floor is not None:
            ratio = f" ({value / floor:.2f} times it)" if floor > 0 else ""
            between = f"between two sets of real ones {significant(floor)}{ratio}"
            yield f"{distance_name(key)}: {significant(value)}; {between}"
    yield from (f"{title}: {text}" for title, text in other_numbers(evaluation).items())
    for part in conditional_accuracies(evaluation):
        yield part.line()
    if "score_drop" in evaluation:
        yield score_drop(evaluation)
    columns = read_columns(evaluation)
    if columns:
        yield ""
        yield from rendered(quantile_table(columns[:_NUM_COLUMNS], ("real", "samples"), with_test=True))
    if len(columns) > _NUM_COLUMNS:
        yield f"{len(columns) - _NUM_COLUMNS:,} more columns are nearer: `wgan evaluate RUN --json` lists them all"
