"""With several processes, the tests of a group run in the same one."""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

FILES = ["tests/harness/test_keys.py", "tests/harness/test_trial.py", "tests/harness/test_schedule.py"]


@pytest.mark.slow
def test_a_file_stays_in_one_process_and_files_are_shared_out():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n2", "-v", "-p", "no:cacheprovider", *FILES],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    processes = defaultdict(set)
    for process, path in re.findall(r"^\[(gw\d)\].* (tests/\S+\.py)::", done.stdout, re.MULTILINE):
        processes[path].add(process)
    assert set(processes) == set(FILES)
    assert all(len(each) == 1 for each in processes.values()), processes
    assert len(set.union(*processes.values())) == 2
