"""Make the runs of this folder, and what was true of them: `python tests/old_runs/make.py` with version 0.1.0.

The words and calls here are those of that version. With a later one this file is no more than a description.
"""

import contextlib
import io
import json
import os
import shutil
import signal
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from old_facts import (
    TO_STEP,
    WORDS,
    at_rest,
    compared,
    frame_and_labels,
    from_toml,
    machine,
    main,
    of_model,
    one_more,
    points,
    resumed,
    short_settings,
)
from old_facts import begun as begun_run

import wgan

HERE = Path(__file__).parent
WORK = Path("/tmp/wgan-0.1.0")
STOPPED, KILLED = {"ring": 140}, {"tiles": 7}
FINISHED, LOST = ("pets", "packed", "gan", "slowed"), "lost"
MODELS = ("array", "frame")


def make_data(folder):
    """A table, images and points, each small."""
    rng = np.random.default_rng(0)
    num = 160
    kind, colour = rng.choice(["cat", "dog", "rabbit"], num), rng.choice(["black", "white", "brown"], num)
    weight = np.select([kind == "cat", kind == "dog"], [4.0, 18.0], 2.0) * rng.uniform(0.7, 1.4, num)
    born = pd.Timestamp("2015-01-01") + pd.to_timedelta(rng.integers(0, 3000, num), unit="D")
    legs = rng.choice(["4", "4", "3", ""], num)
    price = [f"{value:,}".replace(",", ".") for value in rng.integers(800, 9000, num)]
    rows = zip(range(num), kind, colour, weight, born.strftime("%d.%m.%Y"), legs, price, strict=True)
    lines = [f"{i};{k};{c};{f'{w:.2f}'.replace('.', ',')};{b};{n};{p}" for i, k, c, w, b, n, p in rows]
    (folder / "pets.csv").write_text("\n".join(["number;kind;colour;weight;born;legs;price", *lines]) + "\n")

    label = rng.integers(0, 3, 60)
    tiles = rng.integers(0, 40, (60, 16, 16)).astype(np.uint8)
    for image, value in zip(tiles, label, strict=True):
        image[4 * value : 4 * value + 6] += 180
    np.savez_compressed(folder / "tiles.npz", x=tiles, y=label)

    label = rng.integers(0, 3, 120)
    centres = np.array([[0.0, 0.0], [5.0, 20.0], [-5.0, 40.0]])
    np.savez_compressed(folder / "blobs.npz", x=centres[label] + rng.normal(size=(120, 2)), y=label)


def begun(name, *, stop, by_signal):
    """Begin a run and end it after some updates, by a stop or by a kill."""
    with (
        contextlib.suppress(wgan.Interrupted),
        wgan.begin(from_toml(HERE / "settings" / f"{name}.toml"), Path(name)) as run,
    ):
        for progress in run.run():
            if progress.step == stop and not by_signal:
                break
            if progress.step == stop:
                os.kill(os.getpid(), signal.SIGTERM)


def frame():
    """A data frame of several types, and its labels."""
    rng = np.random.default_rng(4)
    num = 80
    y = pd.Series(rng.choice(["north", "south"], num), name="region")
    columns = {
        "height": rng.normal(170, 8, num).astype(np.float32) + 10 * (y == "south"),
        "children": rng.integers(0, 4, num),
        "job": pd.Categorical(rng.choice(["baker", "smith"], num)),
        "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, num), unit="D"),
        "member": rng.random(num) < 0.5,
    }
    return pd.DataFrame(columns), y


def fitted():
    """Two estimators, one unconditional on an array, one conditional on a data frame."""
    small = {"generator": "mlp:width=10,depth=2", "critic": "mlp:width=10,depth=2", "noise_size": 3, "batch_size": 16}
    small |= {"device": "cpu", "precision": "float32", "engine": "eager", "threads": 1, "steps": 20}
    small |= {"constraint": "penalty:weight=0.1,sides=one", "generator_optimizer": "adam:rate=0.005,beta1=0.5"}
    model = wgan.WGAN(**small, average=0.9, judge_every=10, patience=5, decay="linear", random_state=3, held_out=0.2)
    model.fit(points(WORK)).save("array")
    X, y = frame()  # noqa: N806 - scikit-learn's name
    X.to_csv("frame.csv", index=False), y.to_csv("labels.csv", index=False)
    X, y = frame_and_labels(WORK)  # noqa: N806
    model = wgan.WGAN(**small, mismatch=0.1, random_state=5, held_out=0.25, condition=["job"])
    model.fit(X, y).save("frame")


def pack(name):
    """A run as one archive that is the same bytes for the same files."""

    def plain(entry):
        entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
        return None if entry.name.endswith(("/report.html", "/lock")) else entry

    with tarfile.open(HERE / f"{name}.tar.xz", "w:xz", preset=9) as archive:
        archive.add(name, filter=plain)


def make():
    """All of it."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir()
    os.chdir(WORK)
    warnings.simplefilter("ignore")
    make_data(WORK)
    for name, step in STOPPED.items():
        begun(name, stop=step, by_signal=True)
    for name, step in KILLED.items():
        begun(name, stop=step, by_signal=False)
    for name in FINISHED:
        with contextlib.redirect_stdout(io.StringIO()):
            code = main(["train", "--settings", str(HERE / "settings" / f"{name}.toml"), "--out", name, "--quiet"])
        assert code == 0, name
    with contextlib.redirect_stderr(io.StringIO()):
        assert main(["train", "--settings", str(HERE / "settings" / f"{LOST}.toml"), "--out", LOST, "--quiet"]) == 4
    for number in range(len(WORDS)):
        settings = WORK / f"words-{number}.toml"
        settings.write_text(short_settings(number, WORK))
        begun_run(settings, WORK / "words" / f"{number}")
        for folder in ("samples", "checkpoints/00000000"):
            shutil.rmtree(WORK / "words" / f"{number}" / folder)
    shutil.rmtree(WORK / "words" / ".wgan-cache", ignore_errors=True)
    fitted()
    for name in ("words", *STOPPED, *KILLED, *FINISHED, LOST, *MODELS):
        pack(name)
    truths = {"machine": machine(), "runs": {}, "resumed": {}, "models": {}}
    for name in TO_STEP:
        truths["runs"][name] = at_rest(name, WORK / name, WORK)
        truths["resumed"][name] = resumed(name, WORK / name, WORK)
    for name in MODELS:
        truths["models"][name] = of_model(name, WORK / name, WORK)
    truths["words"] = [one_more(number, WORK / "words" / f"{number}", WORK) for number in range(len(WORDS))]
    truths["compared"] = compared(WORK / "ring-resumed", WORK / "gan")
    (HERE / "truths.json").write_text(
        "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in truths.items()) + "}" + "\n"
    )
    (HERE / "data").mkdir(exist_ok=True)
    for path in WORK.glob("*.*"):
        if path.suffix in (".csv", ".npz") and path.stem not in ("drawn", "none"):
            shutil.copy(path, HERE / "data")


if __name__ == "__main__":
    make()
