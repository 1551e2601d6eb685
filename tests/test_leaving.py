"""The exit code of a command does not depend on threads that libraries still run."""

import subprocess
import sys

import pytest

SCRIPT = """
import atexit, ctypes, sys, threading, time
import wgan.__main__ as door

atexit.register(print, "taken down")

def answer():
    sys.modules.setdefault({loaded!r}, sys)
    print("stopped")
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    # As a library that is unloaded after Python has ended.
    libc = ctypes.CDLL(None)
    libc.__cxa_atexit(ctypes.cast(libc.abort, ctypes.c_void_p), None, None)
    return 75

door._main = answer
sys.exit(door.main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks the C library by its functions")
@pytest.mark.parametrize(("loaded", "code"), [("torch", 75), ("other", -6)])
def test_what_libraries_do_when_they_are_taken_down_takes_no_part_in_the_exit_code(loaded, code):
    script = [sys.executable, "-c", SCRIPT.format(loaded=loaded)]
    left = subprocess.run(script, capture_output=True, text=True, timeout=30, check=False)
    assert (left.returncode, left.stdout) == (code, "stopped\ntaken down\n")
