"""Signals in; a run that saves and leaves, out."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from jvae.training.checkpoint import Checkpoints
from jvae.training.log import read_metrics
from jvae.training.stop import StopRequest
from tests.faces import small_store


def test_the_first_signal_is_a_request_the_second_is_obeyed():
    outside = signal.signal(signal.SIGINT, signal.default_int_handler)  # in a background job it may be ignored
    before = signal.getsignal(signal.SIGINT)
    with StopRequest() as stop:
        assert stop.signum is None
        signal.raise_signal(signal.SIGINT)
        assert stop.signum == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    signal.signal(signal.SIGINT, outside)


def test_requests_work_outside_of_the_main_thread():
    seen = []

    def body():
        with StopRequest() as stop:
            seen.append(stop.signum)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join(10)
    assert seen == [None]


def test_sigterm_in_the_script_saves_and_leaves(tmp_path):
    run = tmp_path / "run"
    flags = "--model.widths 4 --model.latent-dim 6 --loop.batch-size 8 --loop.chunk-steps 3 --optimizer.ema-decay 0.9"
    command = [
        sys.executable,
        "-m",
        "jvae",
        "train",
        "book",
        "--data",
        small_store().path,
        "--out",
        run,
        *flags.split(),
    ]
    command += ["--loop.steps", "1000000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 120
        while not read_metrics(run) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM, err
    assert "the same command goes on" in out
    with Checkpoints(run, read_only=True) as checkpoints:
        assert checkpoints.last_step == max(r["step"] for r in read_metrics(run))
