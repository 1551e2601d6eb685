"""Draw the README's opening picture from the record of a run on images: `python docs/opening.py RUN [OUT]`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from wgan.figures import canvas
from wgan.figures.curves import median_filtered, median_width

TILES = 6


def main() -> None:
    """Read the run, draw sheets over time above the curve, and write the picture."""
    run = Path(sys.argv[1])
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent / "opening.png"
    record = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = np.array([line["step"] for line in record])
    estimate = np.array([line["estimate"] for line in record])
    judged = [(line["step"], line["sliced_w1"], line["sliced_w1_floor"]) for line in record if "sliced_w1" in line]
    sheets = sorted(path for path in (run / "samples").glob("*.png") if path.stem.isdigit())
    chosen = [sheets[1], sheets[len(sheets) // 3], sheets[-1]]

    theme = canvas.LIGHT
    with canvas.style(theme):
        figure = canvas.blank(9.2, 5.4)
        rows = figure.add_gridspec(2, 6, height_ratios=(1.9, 1.0))
        for place, path in enumerate(chosen):
            panel = figure.add_subplot(rows[0, 2 * place : 2 * place + 2])
            panel.imshow(_corner(path), cmap="gray", interpolation="nearest")
            panel.set_axis_off()
            panel.set_title(f"{int(path.stem):,} generator updates", fontsize=9, color=theme.ink)
        curve, distance = figure.add_subplot(rows[1, :3]), figure.add_subplot(rows[1, 3:])
        curve.plot(steps, estimate, color=theme.generated, alpha=0.3, linewidth=0.7)
        curve.plot(steps, median_filtered(estimate), color=theme.generated, linewidth=1.6)
        curve.set_title(f"the critic's estimate (median of {median_width(len(estimate))} records)", fontsize=9)
        at, measured, floor = zip(*judged, strict=True)
        distance.plot(at, measured, color=theme.judged, marker="o", markersize=3, label="samples")
        distance.axhline(floor[-1], color=theme.faint, linestyle="--", linewidth=1, label="floor: real images")
        distance.set_title("sliced W1 on pixels from held-out images", fontsize=9)
        distance.legend(frameon=False, fontsize=8)
        for panel in (curve, distance):
            panel.set_ylim(bottom=0)
            panel.set_xlim(0, steps[-1])
            panel.grid(axis="y")
            panel.set_xlabel("generator updates")
        out.write_bytes(canvas.png(figure))
    sys.stdout.write(f"{out}\n")


def _corner(path: Path) -> Image.Image:
    """The first tiles of a sheet of eight by eight."""
    with Image.open(path) as sheet:
        side = sheet.width * TILES // 8
        return sheet.crop((0, 0, side, side)).convert("LA")


if __name__ == "__main__":
    main()
