"""One thread for searchers, the sweep's number for evaluations."""

import subprocess
import sys

CODE = """
from harness.arithmetic import declare
from harness.threads import held_to, hold_to_one
declare()
import numpy, scipy.linalg
from threadpoolctl import threadpool_info, threadpool_limits

def threads():
    return sorted({pool["num_threads"] for pool in threadpool_info()})

print(threads())
threadpool_limits(limits=2)
hold_to_one()
print(threads())
with held_to(2):
    print(threads())
print(threads())
"""


def test_libraries_are_held_to_the_threads_they_are_given():
    out = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert out.stdout.split("\n")[:4] == ["[1]", "[1]", "[2]", "[1]"]
