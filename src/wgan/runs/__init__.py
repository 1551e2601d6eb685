"""A run: its directory, its record, its best and last state.

`begin` and `resume` return a `Run`, whose `run` yields a `Progress` after each generator update. `load` returns the
trained generator, and `evaluate` measures it. `finish` ends a run that was stopped.
"""

from __future__ import annotations

from wgan.runs.beginning import begin
from wgan.runs.files import RunFiles
from wgan.runs.finishing import Finished, finish
from wgan.runs.record import RunWarning
from wgan.runs.resuming import resume
from wgan.runs.run import Progress, Run
from wgan.runs.setups import setup
from wgan.runs.trained import Trained, evaluate, load

__all__ = [
    "Finished",
    "Progress",
    "Run",
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
