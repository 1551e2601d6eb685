"""The exit code of a stopped run is its own, whatever is still under way in a library."""

import subprocess
import sys
import threading

import pytest

from wgan.__main__ import _UNBREAKABLE
from wgan.experiment.stopping import StopRequest

SCRIPT = """
import atexit, sys, threading, time
import wgan.__main__ as door

atexit.register(print, "taken down")

def answer():
    print("stopped")
    threading.Thread(target=time.sleep, args=({seconds},), name={name!r}, daemon=True).start()
    return 75

door._main = answer
sys.exit(door.main())
"""


@pytest.mark.parametrize(
    ("name", "seconds", "said"), [("judge", 60, "stopped\n"), ("other", 60, "stopped\ntaken down\n")]
)
def test_unfinished_work_does_not_take_part_in_leaving(name, seconds, said):
    script = SCRIPT.format(name=name, seconds=seconds)
    left = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert (left.returncode, left.stdout) == (75, said)


def test_the_thread_is_called_so():
    found, _ = StopRequest().meanwhile(lambda: threading.current_thread().name)
    assert found == _UNBREAKABLE
