"""The settings of a config as flags of a command."""

import sys

import pytest

from jvae.cli.main import main
from jvae.cli.settings import chosen
from jvae.errors import InputError
from jvae.training.loop import train
from jvae.training.presets import DEMO
from jvae.training.run import read_config
from jvae.training.tasks.supervised import Supervised
from tests.faces import small_store

SMALL = "--model.widths 4 --model.latent-dim 6 --loop.batch-size 8 --loop.steps 3 --loop.chunk-steps 3"
pytestmark = pytest.mark.filterwarnings("ignore:warmup_steps")  # of runs that are over before


def test_a_preset_and_what_takes_the_place_of_its_parts():
    cfg, left = chosen(["demo", "--objective", "supervised", "--data", "x", "--objective.label-weight", "3"])
    assert cfg == DEMO.replace(objective=Supervised(r_loss_factor=50_000.0))
    assert left == ["--data", "x", "--objective.label-weight", "3"]
    cfg, _ = chosen(["demo", "--objective.sigma=0.1"])  # the flag itself says how much
    assert cfg.objective.r_loss_factor is None and cfg.objective.sigma is not None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name a preset first: book, celeba64, demo"),
        (["--data", "x"], "name a preset first"),
        (["demmo"], "unknown preset 'demmo': did you mean demo"),
        (["demo", "--model", "boook"], "unknown model 'boook': did you mean book"),
        (["demo", "--objective"], "--objective needs a name: vae, perceptual"),
    ],
)
def test_what_is_not_there_is_named(words, said):
    with pytest.raises(InputError, match=said):
        chosen(words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "celeba64 --objective judge",
            "objective=judge: it trains the network of a judge, not a Book: give --model judge",
        ),
        ("celeba64 --model judge", "model=judge: it neither encodes nor decodes, .*: give --objective judge"),
    ],
)
def test_a_judge_and_a_model_of_faces_are_told_apart(words, said, tmp_path):
    cfg, _ = chosen(words.split())
    with pytest.raises(InputError, match=said):
        train(cfg, small_store(), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def call(monkeypatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["jvae", *words])
    try:
        main()
    except SystemExit as stop:
        return int(str(stop.code))
    return 0


def test_flags_reach_the_run(monkeypatch, tmp_path, capsys):
    run = tmp_path / "run"
    words = f"train demo --data {small_store().path} --out {run} {SMALL} --objective.beta 2 --seed 3".split()
    assert call(monkeypatch, *words) == 0
    cfg = read_config(run)
    assert (cfg.model.widths, cfg.model.latent_dim, cfg.model.image_size, cfg.seed) == ((4,), 6, 16, 3)
    assert (cfg.objective.beta, cfg.objective.r_loss_factor, cfg.preset) == (2.0, None, "demo")
    assert cfg.optimizer == DEMO.optimizer
    assert f"{run}: step 3 of 3 done" in capsys.readouterr().out


def test_a_bad_value_is_one_line(monkeypatch, tmp_path, capsys):
    run = tmp_path / "run"
    words = f"train demo --data {small_store().path} --out {run} {SMALL} --model.dropout 1.5".split()
    assert call(monkeypatch, *words) == 2
    assert "dropout=1.5: must lie in [0, 1)" in capsys.readouterr().err and not run.exists()


def test_a_sweep_over_any_of_its_settings(monkeypatch, tmp_path, capsys):
    out = tmp_path / "sweep"
    words = f"sweep demo --data {small_store().path} --out {out} {SMALL} --vary seed=0,1 beta=1".split()
    assert call(monkeypatch, *words, "--optimizer.ema-decay", "0.5") == 0
    names = {path.name for path in out.iterdir() if path.is_dir()}
    assert names == {"seed=0,beta=1", "seed=1,beta=1"}
    assert {read_config(out / name).optimizer.ema_decay for name in names} == {0.5}
    assert "2 models at once" in capsys.readouterr().out
    assert call(monkeypatch, *words[:6], "--vary", "seed") == 2
    assert "--vary seed: give a setting and its values, such as seed=0,1,2" in capsys.readouterr().err
    assert call(monkeypatch, *words[:6], "--vary", "seed=0,1", "beta=1", "seed=2") == 2
    assert "--vary gives seed twice: give it once, with all of its values" in capsys.readouterr().err
