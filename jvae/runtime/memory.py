"""The machine in; how much memory may still be taken of it, in bytes, out."""

import math
import os
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CONTAINER = Path("/sys/fs/cgroup")


def available_bytes(meminfo: Path = MEMINFO, container: Path = CONTAINER) -> int:
    """Memory that can be had without swapping: what is free, and what caches would give up; of a container, its share.

    Args:
      meminfo: file of the machine's memory, as Linux has it; half of the memory counts as free where there is none.
      container: folder of the control group (cgroup v2) that limits the container; it may be absent, or have no limit.
    """
    return int(min(_of_machine(meminfo), _of_container(container)))


def _of_machine(meminfo: Path) -> int:
    try:
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:  # not Linux
        pass
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _of_container(folder: Path) -> float:
    try:
        limit, used = (int((folder / name).read_text()) for name in ("memory.max", "memory.current"))
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        cached = int(stat["inactive_file"])  # files read a while ago count as used, and are the first to be given up
    except (OSError, ValueError, KeyError):  # no container, or "max": no limit
        return math.inf
    return max(0, limit - used + cached)
