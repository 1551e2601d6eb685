"""What can be found out about a run or a saved estimator through the command line and the package's public names."""

import contextlib
import hashlib
import io
import json
import platform
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

import wgan
from wgan.cli.main import main
from wgan.settings import from_toml

DATA = {"pets": "pets.csv", "tiles": "tiles.npz", "packed": "blobs.npz"}
"""The data of each run that is not built in; it is stored next to the runs."""

ENDING = {"pets": ".csv", "tiles": ".npz", "packed": ".npz"}
"""The form in which samples of each run are read; .npy for the others."""

WHERE = {
    "pets": {"kind": "rabbit", "weight": "2,15"},
    "tiles": {"label": "2"},
    "packed": {"label": "1"},
}
"""The conditions of samples of conditional runs."""

TO_STEP = {"ring": None, "tiles": None, "pets": 30, "packed": 14, "gan": 33, "slowed": 14}
"""The step that each run is resumed to; None for the one that it was begun with, where it was stopped before."""

WORDS = json.loads((Path(__file__).parent / "words.json").read_text())
"""Settings of one short run each, which name every part with its parameters."""

NUM, SEED = 4, 3


def machine():
    """The environment that the last bits of all numbers depend on."""
    info = Path("/proc/cpuinfo")
    known = info.read_text().split("\n\n")[0].splitlines() if info.is_file() else []
    said = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in known)}
    processor = " ".join(said.get(name, "?") for name in ("model name", "cpu family", "model", "stepping"))
    capability = torch.backends.cpu.get_cpu_capability()
    versions = f"torch {torch.__version__}, numpy {np.__version__}"
    return f"{platform.machine()}, {processor}, {capability}, {versions}"


def cli(*words):
    """Run `wgan` with these arguments; return its output and exit code."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = main([str(word) for word in words])
    return code, out.getvalue(), err.getvalue()


def answer(*words):
    """What `wgan` prints, where it succeeds."""
    code, out, err = cli(*words)
    assert code == 0, f"wgan {' '.join(map(str, words))}: exit code {code}: {err}"
    return out


def rows_of(path):
    """Samples in a file, as JSON."""
    if path.suffix == ".npy":
        return _array(np.load(path))
    if path.suffix == ".npz":
        with np.load(path) as archive:
            return {name: _array(archive[name]) for name in archive.files}
    return path.read_text().splitlines()


def _array(array):
    return {"dtype": array.dtype.str, "shape": list(array.shape), "values": array.ravel().tolist()}


def drawn(name, run, folder, *more):
    """Samples that the command line draws."""
    out = folder / f"drawn{ENDING.get(name, '.npy')}"
    answer("sample", run, "--num", NUM, "--seed", SEED, "--out", out, *more)
    return rows_of(out)


def drawn_in_python(name, run, folder):
    """The same samples drawn in Python, through a file that is written of what came."""
    trained = wgan.load(run)
    samples = trained.sample(NUM, SEED, decode=trained.codec.restore)
    if hasattr(samples, "column_names"):
        return [[str(value) for value in row.values()] for row in samples.to_pylist()]
    return _array(np.asarray(getattr(samples, "values", samples)))


def at_rest(name, run, folder):
    """The facts of a run without resuming it."""
    data = ["--data", folder / DATA[name]] if name in DATA else []
    found = {
        "sampled": drawn(name, run, folder),
        "best": drawn(name, run, folder, "--checkpoint", "best"),
        "loaded": drawn_in_python(name, run, folder),
        "step": wgan.load(run).step,
        "evaluated": json.loads(answer("evaluate", run, *data, "--json")),
    }
    if name in WHERE:
        where = ",".join(f"{key}={value}" for key, value in WHERE[name].items() if "," not in value)
        more = [word for key, value in WHERE[name].items() if "," in value for word in ("--where", f"{key}={value}")]
        found["asked"] = drawn(name, run, folder, "--where", where, *more)
        code, _, err = cli(
            "sample", run, "--num", 1, "--out", folder / f"none{ENDING.get(name, '.npy')}", "--where", "nothing=1"
        )
        found["refused"] = code
        assert all(key in err for key in WHERE[name]), err
    return found


def begun(settings, out):
    """A run that is trained to its end in a new directory, by a file of settings, without a report."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with wgan.begin(from_toml(settings), out) as experiment:
            for _ in experiment.run():
                pass


def short_settings(number, folder):
    """The text of a settings file of `WORDS`."""
    words = {"data": "ring"} | WORDS[number]
    if words["data"] == "ring":
        words = {"generator": "mlp:width=6,depth=1", "critic": "mlp:width=6,depth=1"} | words
    else:
        words["data"] = str(folder / words["data"])
    common = {"steps": 1, "batch_size": 4, "critic_steps": 1, "threads": 1, "judge_size": 4, "record_every": 1}
    common |= {"engine": "eager", "precision": "float32", "device": "cpu", "examine": "off"}
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in (common | words).items())


def one_more(number, run, folder):
    """The facts of a copy of a short run after a second update."""
    copy = folder / f"words-{number}-resumed"
    shutil.copytree(run, copy)
    data = WORDS[number].get("data")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with wgan.resume(copy, steps=2, data=None if data is None else str(folder / data)) as experiment:
            for _ in experiment.run():
                pass
    samples = wgan.load(copy).sample(NUM, SEED)
    numbers = ("estimate", "critic_loss", "generator_loss", "score")
    last = lines(copy / "metrics.jsonl")[-1]
    return {
        "samples": _array(np.asarray(getattr(samples, "values", samples))[:, :4]),
        "last": [last[name] for name in numbers],
        "checkpoint": tensors(copy),
    }


def lines(path):
    """The lines of a journal, without their checksums."""
    read = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "check"} for line in read]


def tensors(run):
    """The tensors of the last checkpoint: shape, sum and a digest of the bytes of each, in sorted order."""
    last = max(path for path in (run / "checkpoints").iterdir() if path.name.isdigit())
    found = [
        [list(value.shape), float(value.double().sum()), hashlib.sha256(value.numpy().tobytes()).hexdigest()]
        for value in load_file(last / "tensors.safetensors").values()
    ]
    return {"step": int(last.name), "tensors": sorted(found)}


def go_on(name, run, steps, folder):
    """Resume a run to its end, in Python: the command would write a report each time."""
    data = str(folder / DATA[name]) if name in DATA else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with wgan.resume(run, steps=steps, data=data) as experiment:
            for _ in experiment.run():
                pass


def resumed(name, run, folder):
    """The facts of a copy of a run after it was resumed to its end."""
    copy = folder / f"{name}-resumed"
    shutil.copytree(run, copy)
    data = [folder / DATA[name]] if name in DATA else []
    if name == "tiles":
        answer("train", *data, "--resume", copy, "--quiet")
    else:
        go_on(name, copy, TO_STEP[name], folder)
    old, new = (lines(each / "events.jsonl") for each in (run, copy))
    return {
        "record": lines(copy / "metrics.jsonl"),
        "events": [[line["event"], line["step"]] for line in new[len(old) :]],
        "checkpoint": tensors(copy),
        "sampled": drawn(name, copy, folder),
        "evaluated": json.loads(answer("evaluate", copy, *(["--data", *data] if data else []), "--json")),
    }


def numbers(value):
    """All numbers within a value, in order of size."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return sorted(number for each in value for number in numbers(each))
    return [float(value)] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


def compared(first, second):
    """The numbers of a comparison of two runs, and the kinds of their verdicts."""
    found = json.loads(answer("compare", first, second, "--json"))
    runs = [{key: value for key, value in run.items() if key != "run"} for run in found["runs"]]
    return {"numbers": numbers(runs), "verdicts": [run["verdict"]["kind"] for run in runs]}


def table_of(frame):
    """A data frame as JSON."""
    return {
        "dtypes": [str(kind) for kind in frame.dtypes],
        "rows": [[str(value) for value in row] for row in frame.to_numpy(object).tolist()],
    }


def frame_and_labels(folder):
    """The data that the estimator `frame` was fitted to."""
    X = pd.read_csv(folder / "frame.csv", parse_dates=["since"], dtype={"job": "category", "height": "float32"})  # noqa: N806
    return X, pd.read_csv(folder / "labels.csv")["region"]


def points(folder):
    """The data that the estimator `array` was fitted to."""
    return np.load(folder / "blobs.npz")["x"].astype(">f4")


def of_model(name, path, folder):
    """The facts and samples of a saved estimator."""
    model = wgan.WGAN.load(path)
    data = (points(folder),) if name == "array" else frame_and_labels(folder)
    as_json = _array if name == "array" else table_of
    found = {
        "sampled": as_json(model.sample(NUM, SEED)),
        "by_default": as_json(model.sample(2)),
        "score": float(model.score(data[0])),
        "verdict": model.verdict_.kind,
        "evidence": numbers(model.evidence_),
        "history": [numbers(line) for line in model.history_],
        "columns": int(model.n_features_in_),
        "refitted": as_json(wgan.WGAN.load(path).fit(*data).sample(2)),
    }
    if name == "frame":
        found |= {
            "names": model.feature_names_in_.tolist(),
            "classes": model.classes_.tolist(),
            "asked": table_of(model.sample(NUM, SEED, y="south")),
            "row_by_row": table_of(model.sample(None, SEED, y=["north", "south", "north"])),
            "where": table_of(model.sample(NUM, SEED, y="north", where={"job": "smith"})),
        }
    return found
