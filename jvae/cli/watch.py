"""`jvae watch`: the curve of a run that trains elsewhere, and how long it still takes."""

import sys
import time
from pathlib import Path

from jvae.errors import InputError
from jvae.render.terminal import Screen, draws
from jvae.training.follow import glance, news, picture, pictures
from jvae.training.history import find_runs

PAUSE = 1.0  # seconds between two looks at the files
SHARE = 0.1  # of the time that may go into reading them


def main(run: Path, /, once: bool = False) -> None:
    """Follows a training in another shell, or on another machine's disk, until it ends or Ctrl-C.

    Shows its curve, step, speed, the time left and the best checkpoint; of a folder of runs, such as a sweep's, a line
    for each. Where the output is no terminal, each validation is a line. The files of the run are read, and no more.
    Exits 1 where a run was stopped, has failed or is dead.

    Args:
      run: run directory, or a folder that holds some.
      once: show it once, and end.
    """
    runs = find_runs(run)
    if not runs:
        raise InputError(f"there is no run in {run}: `jvae train` makes one")
    screen, told = Screen(sys.stdout) if draws(sys.stdout) else None, dict.fromkeys(runs, -1)
    while True:
        began = time.monotonic()
        found = [glance(each) for each in runs]
        over = once or all(each.over for each in found)
        if screen is not None:
            screen.show(picture(found[0], *screen.size) if len(runs) == 1 else pictures(found, run))
        else:
            for each in found:
                name = "" if len(runs) == 1 else f"{each.at.run}: "
                last = [each.progress, each.best, each.state] if over else []
                for line in [*news(each, told[each.at.run]), *last]:
                    print(name + line, flush=True)
                told[each.at.run] = each.at.step
        if over:
            break
        time.sleep(max(PAUSE, (time.monotonic() - began) / SHARE))
    if any(each.at.state in ("failed", "stopped", "killed") for each in found):
        raise SystemExit(1)
