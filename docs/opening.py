"""Draw the picture at the top of the README from a run on images: `python docs/opening.py RUN [OUT]`."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image

import wgan
from wgan.data import open_data
from wgan.data.sample_formats import sheet
from wgan.figures import canvas
from wgan.figures.curves import median_filtered

TILES = 6
"""Rows and columns of each sheet."""
DPI = 240


def main() -> None:
    """Draw real images and samples at three stages above the curves, and write the picture."""
    run = Path(sys.argv[1])
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent / "opening.png"
    record = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = np.array([line["step"] for line in record])
    estimate = np.array([line["estimate"] for line in record])
    evaluated = [(line["step"], line["sliced_w1"], line["sliced_w1_floor"]) for line in record if "sliced_w1" in line]
    sheets = sorted(path for path in (run / "samples").glob("*.png") if path.stem.isdigit())
    stages = [sheets[1], sheets[len(sheets) // 4], sheets[-1]]

    theme = canvas.LIGHT
    with canvas.style(theme):
        figure = plt.figure(figsize=(9.6, 4.9), layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=(1.5, 1.0))
        pictures = [("real images", _real(run)), *((f"{int(path.stem):,} updates", _sheet(path)) for path in stages)]
        for panel, (title, picture) in zip(above.subplots(1, 4), pictures, strict=True):
            panel.imshow(picture, cmap="gray", interpolation="nearest")
            panel.set_axis_off()
            panel.set_title(title, fontsize=10, color=theme.ink, loc="left")
        curve, distance = below.subplots(1, 2)
        curve.plot(steps, estimate, color=theme.generated, alpha=0.25, linewidth=0.6)
        curve.plot(steps, median_filtered(estimate), color=theme.generated, linewidth=1.6)
        curve.set_title("the critic's estimate on training batches", fontsize=10, loc="left")
        at, measured, floor = zip(*evaluated, strict=True)
        distance.plot(at, measured, color=theme.distance, marker="o", markersize=2.6, linewidth=1.4)
        distance.axhline(floor[-1], color=theme.faint, linestyle="--", linewidth=1)
        distance.annotate("samples", (at[1], measured[1]), (6, 6), textcoords="offset points", color=theme.distance)
        distance.annotate(
            "floor: two sets of real images",
            (at[-1], floor[-1]),
            (0, -12),
            textcoords="offset points",
            ha="right",
            color=theme.faint,
        )
        distance.set_title("measured sliced W1 to held-out images", fontsize=10, loc="left")
        curve.set_yscale("log")
        curve.set_yticks([0.3, 1, 3, 10, 30], ["0.3", "1", "3", "10", "30"], minor=False)
        curve.minorticks_off()
        distance.set_ylim(bottom=0)
        for panel in (curve, distance):
            panel.set_xlim(0, steps[-1])
            panel.grid(axis="y")
            panel.set_xlabel("generator updates")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    # 256 colours are enough for grey images and two lines, and make the file a third of the size.
    Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(out, optimize=True)
    sys.stdout.write(f"{out}\n")


def _real(run: Path) -> Image.Image:
    """Held-out images of the run's data, as a sheet."""
    settings = wgan.load(run).settings
    source = open_data(settings.data, settings.input, seed=settings.seed)
    images = source.codec.decode(source.held_out(TILES * TILES, torch.Generator().manual_seed(0)))
    return sheet(images, columns=TILES).convert("LA")


def _sheet(path: Path) -> Image.Image:
    """The first rows and columns of a sheet of eight by eight samples."""
    with Image.open(path) as whole:
        side = whole.width * TILES // 8
        return whole.crop((0, 0, side, side)).convert("LA")


if __name__ == "__main__":
    main()
