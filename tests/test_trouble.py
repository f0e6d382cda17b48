"""Runs that come to nothing: what they say, and what they leave."""

import warnings

import jax
import numpy as np
import pytest

from jvae.errors import InputError, InputWarning
from jvae.runtime.mesh import put
from jvae.training import loop, member
from jvae.training.checkpoint import Checkpoints
from jvae.training.loop import train
from jvae.training.member import Validation
from jvae.training.tasks import vae
from tests.faces import small_store
from tests.runs import ONE, TINY, assert_equal_states, last_state, stop_after


@pytest.fixture(scope="module")
def store():
    return small_store()


@pytest.fixture
def begun(store, tmp_path):
    """A run at step 6, and its state there."""
    run = tmp_path / "run"
    train(TINY, store, run, mesh=ONE, progress=False, stopped=stop_after(2))
    return run, last_state(run)


def spoil(monkeypatch, how):
    """From now on `how` changes the state and the metrics that a chunk ends with."""
    honest = loop.compile_chunk

    def spoilt(*args):
        program = honest(*args)
        return program._replace(run=lambda *inputs: how(*program.run(*inputs)))

    monkeypatch.setattr(loop, "compile_chunk", spoilt)


@pytest.mark.parametrize(("name", "what", "bad"), [("loss", "loss", 10), ("grad_norm", "gradient", 12)])
def test_what_is_not_finite_stops_the_run_and_keeps_the_checkpoint(store, begun, monkeypatch, name, what, bad):
    run, good = begun

    def broken(state, metrics):
        end, values = jax.device_get((state.step, metrics[name]))  # asked for by name, as the loop must
        steps = np.arange(end - 2, end + 1)  # of a whole chunk of 3
        return state, metrics | {name: put(np.where(steps == bad, np.nan, values), loop.replicated(ONE))}

    spoil(monkeypatch, broken)
    with pytest.raises(InputError, match=f"the {what} is not finite at step {bad}: the checkpoint of step 6 is kept"):
        train(TINY, store, run, mesh=ONE, progress=False)
    assert_equal_states(last_state(run), good)


def test_a_state_that_is_not_finite_is_not_saved_though_its_loss_and_gradient_are(store, begun, monkeypatch):
    run, good = begun

    def overflowing(state, metrics):
        return state._replace(variables=jax.tree.map(lambda leaf: leaf / (leaf - leaf), state.variables)), metrics

    spoil(monkeypatch, overflowing)
    with pytest.raises(InputError, match=r"the state is not finite at step 9: the checkpoint of step 6 is kept; train"):
        train(TINY.replace(eval_every=9), store, run, mesh=ONE, progress=False, stopped=stop_after(1))
    assert_equal_states(last_state(run), good)


def test_a_diverging_run_is_an_error_not_a_result(store, tmp_path):
    with pytest.raises(InputError, match=r"not finite at step \d+: no checkpoint was saved"):
        train(TINY.replace(learning_rate=1e30), store, tmp_path / "run", mesh=ONE, progress=False)


@pytest.mark.parametrize(("schedule", "steps"), [("constant", 12), ("cosine", 9), ("cosine", 12)])
def test_a_schedule_that_bends_says_so(store, tmp_path, schedule, steps):
    cfg, run = TINY.replace(schedule=schedule, steps=9), tmp_path / "run"
    train(cfg, store, run, mesh=ONE, progress=False, stopped=stop_after(2))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", InputWarning)
        train(cfg.replace(steps=steps), store, run, mesh=ONE, progress=False)
    said = [str(each.message) for each in told if each.category is InputWarning]
    if (schedule, steps) != ("cosine", 12):
        assert not said
        return
    was, now = (5e-3 * (1 + np.cos(np.pi * 6 / total)) / 2 for total in (9, 12))
    assert said == [
        f"run: the learning rate was {was:.3g} at step 6 and is {now:.3g} in a training of this length, as its "
        "schedule ends with the last step: what comes of it differs from a training of one length; for that, train anew"
    ]


@pytest.mark.parametrize(
    ("least", "objective", "said"),
    [
        (1e9, 1.0, r"^run, step 6: the posterior has collapsed: its KL is .*r_loss_factor above 10000"),
        (0.1, np.nan, "^run, step 12: objective is nan on the validation split, .* a learning rate below 0.005"),
    ],
    ids=["collapse", "validation"],
)
def test_a_run_that_comes_to_nothing_says_so_once_with_what_to_change(
    store, tmp_path, monkeypatch, least, objective, said
):
    monkeypatch.setattr(vae, "COLLAPSED", least)
    monkeypatch.setattr(member, "SETTLED", 6)
    monkeypatch.setattr(Validation, "__call__", lambda *given: {"objective": objective, "kl": 1.0, "n": 6})
    with pytest.warns(InputWarning, match=said) as told:
        train(TINY.replace(steps=12, eval_every=12), store, tmp_path / "run", mesh=ONE, progress=False)
    assert len(told) == 1 and "\n" not in str(told[0].message)
    with Checkpoints(tmp_path / "run", read_only=True) as checkpoints:
        assert checkpoints.best_step == 12
