"""A run: its directory, its record, its best and last state.

`begin` and `resume` give an `Experiment`, whose `run` yields a `Progress` after each generator update; `load` gives
what a run has learnt, `evaluate` what that is worth; `finish` ends a run that was stopped.
"""

from __future__ import annotations

from wgan.runs.files import RunFiles
from wgan.runs.finishing import Finished, finish
from wgan.runs.opening import begin, resume
from wgan.runs.progress import Progress
from wgan.runs.record import RunWarning
from wgan.runs.running import Experiment
from wgan.runs.setups import setup
from wgan.runs.trained import Trained, evaluate, load

__all__ = [
    "Experiment",
    "Finished",
    "Progress",
    "RunFiles",
    "RunWarning",
    "Trained",
    "begin",
    "evaluate",
    "finish",
    "load",
    "resume",
    "setup",
]
