"""What `wgan failures` and `wgan prove` share: a study's claims, printed, drawn and checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wgan.cli.streams import say
from wgan.errors import NumericError, UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wgan.studies import Claim


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of a study.

    Attributes:
        claims: The claims, with what was measured.
        facts: The result as plain JSON.
        lines: The result as a table.
        draw: Draws the picture.
    """

    claims: Sequence[Claim]
    facts: dict[str, Any]
    lines: Sequence[str]
    draw: Callable[[], Figure]


def check_picture(path: Path | None) -> None:
    """Refuse a picture that cannot be written.

    Raises:
        UsageError: Another ending than .png and .svg, or a folder that does not exist.
    """
    if path is None:
        return
    if path.suffix.lower() not in (".png", ".svg"):
        raise UsageError(f"--picture {path} ends neither in .png nor in .svg")
    if not path.parent.is_dir():
        raise UsageError(f"--picture {path}: there is no folder {path.parent}", remedy="Create it first.")


def conclude(result: Result, *, picture: Path | None, as_json: bool, must_hold: bool = True) -> int:
    """Print a result, write its picture, and return the exit code 0.

    Raises:
        NumericError: A claim does not hold, and all of them must.
    """
    if as_json:
        print(json.dumps(result.facts | {"claims": [asdict(claim) for claim in result.claims]}))
    else:
        for line in result.lines:
            say(line)
        for claim in result.claims:
            say(f"{'yes' if claim.holds else 'NO':3}  {claim.text}: {claim.measured} (wanted: {claim.wanted})")
    if picture is not None:
        from wgan import figures
        from wgan.system.storage import replace_file

        figure = result.draw()
        replace_file(picture, figures.svg(figure) if picture.suffix.lower() == ".svg" else figures.png(figure))
        if not as_json:
            say(f"picture: {picture}")
    failed = [claim.text for claim in result.claims if not claim.holds]
    if failed and must_hold:
        raise NumericError(
            f"does not hold in this experiment: {'; '.join(failed)}",
            remedy="The output says by how much. Try another --seed.",
        )
    return 0
