"""A process that keeps its memory asks the system for it once."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from ddw_graph.training.memory import keep_memory

torch.set_num_threads(1)
if sys.argv[1] == "keep" and not keep_memory():
    sys.exit("an allocator that takes no advice")

def use():
    blocks = [torch.ones(2**20) for _ in range(64)]  # 256 MiB

use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.full
def test_freed_memory_is_there_again_without_the_system() -> None:
    pages, found = 3 * 256 * 2**20 // 4096, []
    for how in ("keep", "give"):
        run = [sys.executable, "-c", FAULTS, how]
        done = subprocess.run(run, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(done.stderr.splitlines()[-1])
        found.append(int(done.stdout))
    assert found[0] < pages // 10 and found[1] > pages // 5
