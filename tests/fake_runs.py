"""Run directories as training leaves them, without training."""

import json

import numpy as np

from wgan.data.export import sample_ending, write_samples
from wgan.data.points import PointsCodec

SCRIPT = "<script>alert(1)</script>"


def ring(num, rng, spread=0.02, radius=2.0):
    angles = rng.integers(0, 8, num) * np.pi / 4
    centres = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return (centres + rng.normal(size=(num, 2)) * spread) / 1.414


def garments(num, rng, blur=0.0):
    """Grey images (28 × 28 pixels) of shirts, boots and bags, made of rectangles."""
    images = np.zeros((num, 28, 28, 1))
    for image in images:
        shade, kind = rng.uniform(110, 250), rng.integers(0, 3)
        if kind == 0:
            image[5:25, 9:19] = shade
            image[5:11, 3:25] = shade
        elif kind == 1:
            image[14:22, 4:24] = shade
            image[6:14, 15:24] = shade
        else:
            image[11:24, 5:23] = shade
            image[6:8, 9:19] = shade
    noisy = images + rng.normal(size=images.shape) * (12 + 180 * blur)
    return np.clip(noisy * (1 - 0.5 * blur), 0, 255).astype(np.uint8)


def census(num, rng, drift=0.0):
    import pyarrow as pa

    return pa.table(
        {
            "age": rng.gamma(9, 4 + drift, num).round().clip(17, 90).astype(int),
            "hours $per$ week": rng.normal(40 + 8 * drift, 8, num).round(1),
            f"work {SCRIPT}": rng.choice(
                ["Private", "Government", "Self-employed", SCRIPT], num, p=[0.6, 0.2, 0.15, 0.05]
            ),
            "hired": np.datetime64("2019-01-01") + rng.integers(0, 900, num).astype("timedelta64[D]"),
            "children": rng.integers(0, 5, num),
        }
    )


def draw(kind, num, rng, share):
    """Samples of an imagined generator after a share of its training."""
    if kind == "points":
        return ring(num, rng, 0.02 + 0.6 * (1 - share) ** 2, 2 * (0.4 + 0.6 * share))
    return garments(num, rng, 1 - share) if kind == "images" else census(num, rng, 1 - share)


def fake_run(
    directory,
    kind="points",
    *,
    steps=8_000,
    made=None,
    label="ring",
    constraint="clipping:bound=0.01",
    objective="wasserstein",
    packing=1,
    frames=1,
):
    """A run directory as training leaves it, without training."""
    rng = np.random.default_rng(0)
    made = steps if made is None else made
    directory.mkdir(parents=True)
    (directory / "settings.toml").write_text(
        f'data = {json.dumps(label)}\nrecipe = "paper"\nsteps = {steps}\nseed = 0\nobjective = "{objective}"\n'
        f"packing = {packing}\n"
        f'constraint = "{constraint}"\n\n[input]\nheld_out = 0.1\nignore = []\nskip_broken = false\n'
    )
    notes = [f"12 images were cut to the middle: {label}"]
    described = f"{kind} {label}: a sampler that never repeats, 2 columns, 8 Gaussian modes"
    codec = PointsCodec.identity(2).state() if kind == "points" else {"kind": kind}
    source = {"name": label, "codec": codec, "describe": described, "fingerprint": "9f" * 16, "notes": notes}
    (directory / "source.json").write_text(json.dumps(source))
    environment = {"python": "3.11.2", "torch": "2.13.0+cpu", "platform": "Linux x86_64", "threads": 1}
    (directory / "environment.json").write_text(json.dumps(environment))
    lines, events = [], [{"time": 1.8e9, "event": "started", "step": 0, "seconds": 0.0}]
    for step in range(10, made + 1, 10):
        value = 1.8 * np.exp(-step / 1500) + 0.06 + 0.05 * rng.normal() * (0.4 + np.exp(-step / 1000))
        lines.append({"step": step, "estimate": value, "critic_loss": -value, "generator_loss": 0.1})
        if step % 1000 == 0:
            name = "sliced_w1" if kind == "images" else "w1"
            distance = 0.05 + 0.6 * np.exp(-step / 900)
            lines[-1] |= {"score": distance, name: distance, f"{name}_floor": 0.044}
            if kind == "points":
                lines[-1] |= {"modes": min(8, step // 500), "num_modes": 8, "high_quality": 1 - distance}
            events.append({"time": 1.8e9 + step, "event": "judged", "step": step, "seconds": step / 66})
    (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    events.append(
        {"time": 1.9e9, "event": "finished" if made == steps else "saved", "step": made, "seconds": made / 66}
    )
    (directory / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    (directory / "samples").mkdir()
    num = 16 if kind == "images" else 500
    real = directory / "samples" / f"real{sample_ending(kind)}"
    write_samples(iter([draw(kind, num, rng, 1.0)]), num, real, kind)
    for step in (made * frame // frames for frame in range(1, frames + 1)):
        out = directory / "samples" / f"{step:08d}{sample_ending(kind)}"
        write_samples(iter([draw(kind, num, rng, step / steps)]), num, out, kind)
    return directory


def lines_of(run):
    """The lines of a run's record."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def rewrite(run, lines):
    """Replace the record of a run."""
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def diagnosis_line(step, *, factor=1.0, share=0.9, rows=1_000):
    """The numbers that a run records with a diagnosis.

    Args:
        step: Generator updates; the exact distance falls along them from 2 to 0.1.
        factor: All distances are multiplied by it.
        share: Share of the exact distance that the critic proves.
        rows: Real rows, and samples, of the diagnosis.
    """
    exact = factor * (1.9 * np.exp(-step / 900) + 0.1)
    return {
        "training_estimate": 0.033 * exact,
        "held_out_estimate": 0.03 * exact,
        "further_estimate": 0.031 * exact,
        "certified": share * exact,
        "without_critic": 0.6 * exact,
        "exact": exact,
        "exact_low": 0.9 * exact,
        "exact_high": 1.1 * exact,
        "exact_floor": 0.07,
        "efficiency": share,
        "gap": 0.015,
        "slope_real": 0.02,
        "slope_fake": 0.021,
        "slope_between": 0.025,
        "slope_climbed": 0.03,
        "slope_bound": 4.25,
        "estimate_by_slope": exact,
        "layer_gradients": [0.001 * step, 0.01, 0.1, 1.0],
        "generator_layer_gradients": [0.2, 0.3, 0.4],
        "at_bound": 0.61,
        "step_cosine": 0.4,
        "score_histogram": {
            "edges": [-1.0, 0.0, 1.0],
            "real": [rows // 4, rows - rows // 4],
            "fake": [rows // 2, rows - rows // 2],
        },
        "diversity_samples": 0.04,
        "diversity_real": 0.05,
        "nearest_training": 0.09,
        "nearest_held_out": 0.1,
        "coverage": 0.98,
        "memorised": 0.01,
        "memorised_error": 0.02,
    }


def with_diagnoses(run, *, every=1_000, without=(), **kind):
    """Add diagnoses to the record of a run, and return the run.

    Args:
        run: A run directory.
        every: Generator updates between two diagnoses.
        without: Numbers to leave out.
        kind: Keyword arguments of `diagnosis_line`.
    """
    lines = lines_of(run)
    for line in lines:
        if line["step"] % every == 0:
            line |= {name: value for name, value in diagnosis_line(line["step"], **kind).items() if name not in without}
    rewrite(run, lines)
    return run
