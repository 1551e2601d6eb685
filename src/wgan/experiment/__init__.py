"""A run: its directory, its record, its best and last state.

`begin` and `resume` give an `Experiment`, whose `run` yields a `Progress` after each generator update; `load` gives
what a run has learnt, `evaluate` what that is worth; `finish` ends a run that was stopped.
"""

from __future__ import annotations

from wgan.experiment.files import RunFiles
from wgan.experiment.finishing import Finished, finish
from wgan.experiment.opening import begin, resume
from wgan.experiment.progress import Progress
from wgan.experiment.record import RunWarning
from wgan.experiment.running import Experiment
from wgan.experiment.trained import Trained, evaluate, load

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
]
