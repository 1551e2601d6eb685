"""Kill a run with SIGKILL at random instants, resume it, and compare it byte by byte with one that was never killed.

    python tests/kill_and_resume.py [KILLS] [SEED]

Every other kill waits for a checkpoint that is half written, so that it falls within a save.
"""

import itertools
import multiprocessing
import random
import sys
import tempfile
import time
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
    generator_optimizer="adam:rate=0.002,beta1=0.5",
    critic_optimizer="adam:rate=0.002,beta1=0.5",
    noise_size=2,
    decay="cosine",
    average=0.9,
    record_every=1,
    judge_every=10,
    sample_every=10,
    save_every=3,
    judge_size=200,
    device="cpu",
)

# Runs are forked from a process that has imported what they need and done nothing else: a start takes no seconds.
_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(["wgan.experiment", "ot"])

_VARYING = {"events.jsonl", "lock"}


@dataclass(frozen=True)
class Trial:
    """One kill.

    Attributes:
        aimed: Whether it waited for a save to be under way.
        step: The last step saved when it came.
        torn: Whether it left a half-written checkpoint.
        differing: Files that the resumed run has otherwise than the one that was never killed.
    """

    aimed: bool
    step: int
    torn: bool
    differing: tuple[str, ...]


def contents(directory: Path) -> dict[str, bytes]:
    """Every file of a run but those that tell the time."""
    files = (path for path in directory.rglob("*") if path.is_file() and path.name not in _VARYING)
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


@dataclass(frozen=True)
class Run:
    """A run in a process of its own.

    Attributes:
        process: The process.
        news: Where it says that it trains, and that it has ended well.
    """

    process: Process
    news: Connection


def work(command: str, directory: Path, settings: Settings, news: Connection) -> None:
    """What such a process does."""
    from wgan import experiment

    with experiment.begin(settings, directory) if command == "begin" else experiment.resume(directory) as run:
        news.send("ready")
        for _ in run.run():
            pass
    news.send("done")


def start(command: str, directory: Path, settings: Settings) -> Run:
    """Begin or resume a run in a process of its own, and return when it trains."""
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


def trials(kills: int, seed: int, settings: Settings = SETTINGS) -> list[Trial]:
    """Train once without a kill, then once for each kill, resuming after it."""
    from wgan.checkpoints import steps_saved

    rng = random.Random(seed)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
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
            step, torn = steps_saved(directory / "checkpoints")[-1], any((directory / "checkpoints").glob(".tmp-*"))
            finish(start("resume", directory, settings))
            got = contents(directory)
            differing = sorted(name for name in {*wanted, *got} if wanted.get(name) != got.get(name))
            found.append(Trial(aimed, step, torn, tuple(differing)))
    return found


def main(kills: int = 20, seed: int = 0) -> int:
    """Print a table of the trials; 0 if every resumed run was the same to the byte."""
    found = trials(kills, seed)
    print(f"{'kill':>4} {'aimed at a save':>16} {'last saved':>11} {'left half a save':>17}  resumed run")
    for number, trial in enumerate(found, 1):
        verdict = f"differs in {', '.join(trial.differing)}" if trial.differing else "identical"
        print(f"{number:>4} {_word(trial.aimed):>16} {trial.step:>11} {_word(trial.torn):>17}  {verdict}")
    same = sum(not trial.differing for trial in found)
    print(f"{same} of {kills} identical; {sum(trial.torn for trial in found)} within a save")
    return 0 if same == kills else 1


def _word(flag: bool) -> str:
    return "yes" if flag else "no"


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
