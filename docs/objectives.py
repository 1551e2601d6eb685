"""Play every game on the ring and write docs/objectives.md: `python docs/objectives.py`.

One thread, one seed, one architecture; what differs is in the recipe. The seconds are processor time on the machine it
ran on: compare them with one another. Recipes named on the command line are played anew, the others' rows kept as they
stand.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from wgan.data import Source, open_data
from wgan.divergences import DIVERGENCES
from wgan.errors import WganError
from wgan.evaluation.metrics import SampleEvaluator
from wgan.randomness import Randomness
from wgan.runs.setups import build_setup
from wgan.settings import DataOptions, Settings
from wgan.settings.recipes import RECIPES
from wgan.training.loop import train

PAGE = Path(__file__).parent / "objectives.md"
MARK = "<!-- rows: "
OPENING = """# The objectives on the ring

Written by `make objectives`; do not edit. Eight Gaussians on a ring, batches of 256, Adam, samples from the moving
average; but for `ring` and `ring-unrolled`, networks have three hidden layers (256 wide in the generator, 128 in the
critic), and all go operation by operation in float32.
*Modes* are those that 2,500 samples reach, *quality* is the share within three standard deviations of one, *W1* is
exact between 2,500 samples and as many held-out points (mean of four, beside its floor between real sets), *estimate*
is the curve's last value, and beside it stands what that is a number of. Seconds are of one core of the machine that it
ran on. One seed: differences of a few hundredths of W1 are chance."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one game came to, or why it did not."""

    name: str
    game: str
    constraint: str
    steps: int
    unit: str
    estimate: float | None = None
    modes: str = ""
    quality: float | None = None
    w1: float | None = None
    floor: float | None = None
    seconds: float | None = None
    fault: str = ""

    def cells(self) -> list[str]:
        """As the page shows it."""
        if self.fault:
            return [f"`{self.name}`", self.game, f"`{self.constraint}`", self.fault, *[""] * 5]
        return [
            f"`{self.name}`",
            self.game,
            f"`{self.constraint}`",
            self.modes,
            f"{100 * (self.quality or 0):.0f} %",
            f"{self.w1:.3f} ({self.floor:.3f})",
            f"{self.estimate:.3g}",
            self.unit,
            f"{self.seconds or 0:.0f} s",
        ]


def games() -> dict[str, Settings]:
    """Name to settings: each recipe on the ring, and that of the f-GAN once for each divergence of the table."""
    found = {name: recipe.settings for name, recipe in RECIPES.items() if name.startswith("ring")}
    kl = found.pop("ring-fgan")
    return found | {f"ring-fgan, {word}": replace(kl, objective=f"fgan:divergence={word}") for word in DIVERGENCES}


def play(name: str, settings: Settings, source: Source, judge: SampleEvaluator) -> Row:
    """Train and judge one."""
    setup = build_setup(settings, source)
    game = setup.game
    extra = [f", packed by {settings.packing}"] if settings.packing > 1 else []
    extra += [f", {settings.unrolled_steps} steps ahead"] if settings.unrolled_steps else []
    row = Row(
        name=name,
        game="".join([f"`{settings.objective}`", *extra]),
        constraint=settings.constraint,
        steps=settings.steps,
        unit=setup.objective.unit,
    )
    began = time.process_time()
    with game.engine.limits():
        estimate = float("nan")
        for step in train(setup):
            if step.number % 100 == 0 or step.number == settings.steps:
                estimate = step.estimate.item()
        seconds = time.process_time() - began
        noise = Randomness(settings.seed).at("noise of the judge")
        judged = judge(lambda num: game.draw(game.prior.sample(num, noise)))
    return replace(
        row,
        estimate=estimate,
        modes=f"{judged['modes']:.0f}/{judged['num_modes']:.0f}",
        quality=judged["high_quality"],
        w1=judged["w1"],
        floor=judged["w1_floor"],
        seconds=seconds,
    )


def kept() -> dict[str, Row]:
    """The rows that the page has."""
    if not PAGE.exists():
        return {}
    _, mark, rest = PAGE.read_text(encoding="utf-8").partition(MARK)
    return {row["name"]: Row(**row) for row in json.loads(rest.partition(" -->")[0])} if mark else {}


def page(rows: list[Row]) -> str:
    """The whole file; its rows as data in a comment at the end, so that some can be played anew."""
    titles = ["recipe", "objective", "constraint", "modes", "quality", "W1 (floor)", "estimate", "of what", "time"]
    lines = [titles, ["---"] * len(titles), *(row.cells() for row in rows)]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    steps = ", ".join(sorted({f"{row.steps:,}" for row in rows}))
    data = f"{MARK}{json.dumps([asdict(row) for row in rows])} -->"
    return f"{OPENING} {steps} generator updates each.\n\n{table}\n\n{data}\n"


def main() -> int:
    """Play and write, after each game."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="GAME", help="recipes to play anew; all if none is named")
    parser.add_argument("--steps", type=int, default=4000, help="generator updates of each")
    given = parser.parse_args()
    known = games()
    if unknown := set(given.names) - known.keys():
        parser.error(f"no such game: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    source = open_data("ring", DataOptions(), seed=0)
    judge = SampleEvaluator(source, size=2500, seed=0, rounds=4)
    rows = kept()
    for name in given.names or known:
        settings = replace(known[name], steps=given.steps, threads=1, device="cpu", engine="eager", precision="float32")
        try:
            rows[name] = play(name, settings, source, judge)
        except WganError as error:
            rows[name] = Row(
                name=name,
                game=settings.objective,
                constraint=settings.constraint,
                steps=settings.steps,
                unit="",
                fault=error.message,
            )
        print(" | ".join(rows[name].cells()), flush=True)
        PAGE.write_text(page([rows[name] for name in known if name in rows]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
