"""Kill a run with SIGKILL at random instants, resume it, and compare it byte by byte with one that was never killed.

    python tests/runs/kill_and_resume.py [CASE ...] [--kills KILLS] [--seed SEED]

Every other kill waits for a checkpoint that is half written, so that it falls within a save.
"""

import argparse
import csv
import dataclasses
import itertools
import json
import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess as Process
from pathlib import Path

from wgan.settings import Settings

SETTINGS = Settings(
    data="ring",
    steps=150,
    batch_size=32,
    critic_steps=2,
    generator="mlp:width=32",
    critic="mlp:width=32",
    constraint="penalty:weight=0.1",
    generator_optimizer="adam:lr=0.002,beta1=0.5",
    critic_optimizer="adam:lr=0.002,beta1=0.5",
    latent_dim=2,
    lr_schedule="cosine",
    ema_decay=0.9,
    log_every=1,
    eval_every=10,
    sample_every=10,
    save_every=3,
    eval_size=200,
    device="cpu",
)

_IMAGES = dataclasses.replace(
    SETTINGS,
    data="fashion-mnist",
    steps=24,
    batch_size=8,
    generator="dcgan:filters=2",
    critic="dcgan:filters=2,norm=batch",
    constraint="clipping:bound=0.05",
    generator_optimizer="rmsprop:lr=0.0005",
    critic_optimizer="rmsprop:lr=0.0005",
    latent_dim=4,
    precision="float32",
    ema_decay=0.0,
    eval_every=8,
    sample_every=8,
    save_every=2,
    eval_size=20,
)

TABLE = "table.csv"
"""Placeholder of a table that is written before the first run."""

CASES = {
    "ring": SETTINGS,
    "clipping": _IMAGES,
    "spectral": dataclasses.replace(
        _IMAGES, critic="dcgan:filters=2,norm=none", constraint="spectral", precision="bfloat16", ema_decay=0.9
    ),
    "table": dataclasses.replace(SETTINGS, data=TABLE, steps=60, generator="mlp:width=32,norm=batch"),
    "lazy": dataclasses.replace(SETTINGS, objective="relativistic", constraint="r1r2:every=4", packing=2),
    "ahead": dataclasses.replace(
        SETTINGS, objective="gan:flipping=0.1", constraint="dragan", steps=60, unrolled_steps=2
    ),
    "moments": dataclasses.replace(SETTINGS, objective="mmd", critic="identity", constraint="none"),
    "optimal": dataclasses.replace(SETTINGS, optimality=0.05, max_critic_steps=8, steps=60),
    # Each update of the critic crosses the whole box at this rate, and half of it is borne.
    "rollback": dataclasses.replace(
        SETTINGS, constraint="clipping:bound=0.01", critic_optimizer="rmsprop:lr=0.3", steps=60
    ),
    "potential": dataclasses.replace(SETTINGS, objective="semidual", constraint="none", steps=60),
}
"""A multilayer perceptron with a penalty, an average and a decay; convolutions with batch norm and clipping;
convolutions with spectral normalisation in bfloat16; a table with batch norm and an average; and games that show the
generator real samples, penalise lazily, pack, draw labels, look ahead, have no critic, one that is trained to
optimality, or one that is wrapped; and a game that diverges once and goes back."""

# Runs are forked from a process that has imported what they need and done nothing else: a start takes no seconds.
_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(["wgan.runs", "ot"])

_VARYING = {"events.jsonl", "lock"}


@dataclass(frozen=True)
class Trial:
    """One kill.

    Attributes:
        aimed: Whether it waited for a save to be under way.
        step: The last step saved when it came.
        within_save: Whether it fell within a save: something half-written, or a checkpoint without its event.
        differing: Files that the resumed run has otherwise than the one that was never killed.
    """

    aimed: bool
    step: int
    within_save: bool
    differing: tuple[str, ...]


def contents(directory: Path) -> dict[str, bytes]:
    """Every file of a run but those with times."""
    files = (path for path in directory.rglob("*") if path.is_file() and path.name not in _VARYING)
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


@dataclass(frozen=True)
class Run:
    """A run in a separate process.

    Attributes:
        process: The process.
        news: Where it says that it trains, and that it has ended well.
    """

    process: Process
    news: Connection


def work(command: str, directory: Path, settings: Settings, news: Connection) -> None:
    """The main function of that process."""
    from wgan import runs

    with runs.begin(settings, directory) if command == "begin" else runs.resume(directory) as run:
        news.send("ready")
        for _ in run.run():
            pass
    news.send("done")


def start(command: str, directory: Path, settings: Settings) -> Run:
    """Begin or resume a run in a separate process, and return when it trains."""
    here, there = _FORKING.Pipe(duplex=False)
    process = _FORKING.Process(target=work, args=(command, directory, settings, there))
    process.start()
    there.close()
    assert here.recv() == "ready"
    return Run(process, here)


def finish(run: Run) -> float:
    """Wait for a run to end well, and return the seconds that training took."""
    began = time.monotonic()
    assert run.news.recv() == "done"
    seconds = time.monotonic() - began
    run.process.join()
    return seconds


def kill(run: Run, directory: Path, *, after: float, aimed: bool) -> None:
    """Kill a run some seconds from now; if aimed, at the next moment at which a checkpoint is half written."""
    checkpoints, until = directory / "checkpoints", time.monotonic() + after
    time.sleep(after)
    while aimed and run.process.is_alive() and time.monotonic() < until + 1:
        if any(checkpoints.glob(".tmp-*")):
            break
    run.process.kill()
    run.process.join()


def fell_within_save(directory: Path) -> bool:
    """Whether a killed run was just saving: something is half-written or half-removed, or a checkpoint has no event."""
    from wgan.runs.checkpoints import steps_saved

    noted = -1
    for text in (directory / "events.jsonl").read_text().splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        noted = line["step"] if line["event"] == "saved" else noted
    checkpoints = directory / "checkpoints"
    return any(checkpoints.glob(".tmp-*")) or steps_saved(checkpoints)[-1] != noted


def write_table(path: Path) -> None:
    """A table of a number, a whole number and a category that depend on one another."""
    rng = random.Random(0)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["length", "count", "kind"])
        for _ in range(400):
            kind = rng.randrange(3)
            rows.writerow([f"{rng.gauss(kind, 0.2):.3f}", rng.randrange(1, 40), "abc"[kind]])


def trials(kills: int, seed: int, settings: Settings = SETTINGS) -> list[Trial]:
    """Train once without a kill, then once for each kill, resuming after it."""
    from wgan.runs.checkpoints import steps_saved

    rng = random.Random(seed)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if settings.data == TABLE:
            write_table(root / TABLE)
            settings = dataclasses.replace(settings, data=str(root / TABLE))
        seconds = finish(start("begin", root / "straight", settings))
        wanted = contents(root / "straight")
        for number in range(kills):
            aimed = number % 2 == 1
            for attempt in itertools.count():
                directory = root / f"killed-{number}-{attempt}"
                kill(start("begin", directory, settings), directory, after=rng.uniform(0, seconds), aimed=aimed)
                # A run that was faster than the first one had nothing left to be killed in.
                if '"finished"' not in (directory / "events.jsonl").read_text():
                    break
            step, within_save = steps_saved(directory / "checkpoints")[-1], fell_within_save(directory)
            finish(start("resume", directory, settings))
            got = contents(directory)
            differing = sorted(name for name in {*wanted, *got} if wanted.get(name) != got.get(name))
            found.append(Trial(aimed, step, within_save, tuple(differing)))
    return found


def main(cases: Sequence[str], kills: int, seed: int) -> int:
    """Print a table of the trials; 0 if every resumed run was the same to the byte."""
    print(f"{'case':>9} {'kill':>4} {'aimed at a save':>16} {'last saved':>11} {'within a save':>14}  resumed run")
    found = []
    for case in cases:
        for number, trial in enumerate(trials(kills, seed, CASES[case]), 1):
            verdict = f"differs in {', '.join(trial.differing)}" if trial.differing else "identical"
            columns = f"{_word(trial.aimed):>16} {trial.step:>11} {_word(trial.within_save):>14}"
            print(f"{case:>9} {number:>4} {columns}  {verdict}", flush=True)
            found.append(trial)
    same = sum(not trial.differing for trial in found)
    print(f"{same} of {len(found)} identical; {sum(trial.within_save for trial in found)} killed within a save")
    return 0 if same == len(found) else 1


def _word(flag: bool) -> str:
    return "yes" if flag else "no"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; all if none is named")
    parser.add_argument("--kills", type=int, default=20, help="of each case")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if unknown := set(given.cases) - CASES.keys():
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    sys.exit(main(given.cases or list(CASES), given.kills, given.seed))
