import dataclasses
import json

import numpy as np
import pytest

from jvae.config import Config
from jvae.data.source import DataId
from jvae.errors import InputError
from jvae.models.book import Book
from jvae.training.presets import BOOK, PRESETS, preset
from jvae.training.run import FORMAT, Record, claim_run, from_fields, read_record, to_fields
from jvae.training.tasks.perceptual import Perceptual
from jvae.training.tasks.supervised import Supervised
from jvae.training.tasks.vae import Vae


def test_book_preset_is_the_books():
    # Generative Deep Learning (2019), chapter 3: the CelebA model
    model, objective = BOOK.model, BOOK.objective
    assert isinstance(model, Book) and isinstance(objective, Vae)
    assert model.image_size == 128 and model.widths == (32, 64, 64, 64) and model.latent_dim == 200
    assert (model.bn_momentum, model.bn_epsilon, model.leaky_slope, model.dropout) == (0.99, 1e-3, 0.3, 0.25)
    assert objective.r_loss_factor == 10_000
    assert (BOOK.optimizer.learning_rate, BOOK.loop.batch_size, BOOK.loop.epochs) == (5e-4, 32, 200)
    assert BOOK.optimizer.schedule == "constant" and BOOK.optimizer.warmup_steps == 0


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    cfg = preset(name)
    assert cfg.preset == name
    assert from_fields(json.loads(json.dumps(to_fields(cfg))), "it") == cfg


def test_every_model_and_objective_survives_json():
    cfg = BOOK.replace(objective=Supervised(beta=1.0, attributes=("Bald", "Male")), latent_dim=7)
    assert from_fields(json.loads(json.dumps(to_fields(cfg))), "it") == cfg


def test_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        BOOK.seed = 1  # type: ignore[misc]


def test_replacing_one_loss_weight_drops_the_other():
    objective = BOOK.replace(sigma=0.1).objective
    assert isinstance(objective, Vae) and objective.sigma == 0.1 and objective.r_loss_factor is None
    assert BOOK.replace(seed=3).objective == BOOK.objective


def test_a_setting_is_found_in_its_part():
    cfg = BOOK.replace(latent_dim=8, learning_rate=1e-3, steps=7, seed=2, preset="mine")
    assert (cfg.model, cfg.optimizer) == (BOOK.model.replace(latent_dim=8), BOOK.optimizer.replace(learning_rate=1e-3))
    assert (cfg.loop.steps, cfg.seed, cfg.preset) == (7, 2, "mine")
    with pytest.raises(InputError, match="unknown setting 'latent_dims': did you mean latent_dim"):
        BOOK.replace(latent_dims=3)


def test_lists_and_numbers_of_numpy_are_as_good():
    cfg = BOOK.replace(widths=[np.int64(16), 32, 64, 128], latent_dim=np.int32(8), learning_rate=np.float64(0.5))
    assert cfg == BOOK.replace(widths=(16, 32, 64, 128), latent_dim=8, learning_rate=0.5)
    assert json.dumps(to_fields(cfg)) and hash(cfg.model) == hash(cfg.model.replace())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_size": 100}, "image_size=100 is no multiple of 16"),
        ({"image_size": 48, "widths": (4,) * 5}, "image_size=48 is no multiple of 32, as 5 stride-2 layers need"),
        ({"image_size": 8}, "image_size=8 is no multiple of 16, as 4 stride-2 layers need: pack the store at 16"),
        ({"widths": ()}, "widths=()"),
        ({"widths": (2**40,)}, "widths=1099511627776: must be at most"),
        ({"r_loss_factor": 1.0, "beta": 1.0}, "exactly one"),
        ({"r_loss_factor": -1.0}, "r_loss_factor=-1.0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"leaky_slope": float("inf")}, "leaky_slope=inf"),
        ({"steps": 0}, "steps=0"),
        ({"seed": -1}, "seed=-1"),
        ({"schedule": "cosin"}, "did you mean cosine"),
        ({"dtype": "float16"}, "unknown dtype 'float16'"),
    ],
)
def test_bad_values_are_named(changes, said):
    with pytest.raises(InputError, match=said.replace("(", r"\(").replace(")", r"\)")):
        BOOK.replace(**changes)


def test_no_loss_weight_is_an_error():
    with pytest.raises(InputError, match="given: none"):
        Vae()


def test_unknown_preset_suggests():
    with pytest.raises(InputError, match="did you mean celeba64"):
        preset("celebA46")


def test_total_steps():
    loop = BOOK.loop.replace(epochs=2.0)
    assert loop.total_steps(100) == 2 * 3  # whole batches of 32
    assert loop.replace(steps=5).total_steps(100) == 5
    with pytest.raises(InputError, match=r"epochs=1e\+09 are 3000000000 steps: must be at most 2147483647, give fewer"):
        loop.replace(epochs=1e9).total_steps(100)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": None}, "it has no model"),
        ({"model": {"name": "boook"}}, "it: unknown model 'boook': did you mean book.*needs its line in the registry"),
        ({"objective": {"name": "vae"}}, "exactly one"),
        ({"loop": {"colour": 3}}, "unknown field 'colour'"),
        ({"optimizer": {"learning_rate": "fast"}}, "learning_rate is 'fast', not float"),
        ({"seed": 1.5}, "seed is 1.5, not int"),
    ],
)
def test_what_is_no_config_is_refused(changes, said):
    with pytest.raises(InputError, match=said):
        from_fields(to_fields(BOOK) | changes, "it")


def test_a_run_directory_remembers_config_and_labels(tmp_path):
    record = Record(BOOK, ("Bald",), DataId("CelebA folder", "squash", "0f"))
    claim_run(tmp_path / "run", record)
    assert read_record(tmp_path / "run") == record
    claim_run(tmp_path / "older", Record(BOOK))
    assert read_record(tmp_path / "older") == Record(BOOK)


def test_a_run_that_has_begun_keeps_to_its_data(tmp_path):
    record, other = Record(BOOK, (), DataId("x", "squash", "0f")), DataId("x", "center", "0f")
    claim_run(tmp_path, record._replace(data=other))
    claim_run(tmp_path, record)  # before its first checkpoint it may still be any
    (tmp_path / "checkpoints" / "6").mkdir(parents=True)
    with pytest.raises(InputError, match=r"holds a run with crop=squash \(now center\): give the same settings"):
        claim_run(tmp_path, record._replace(data=other))
    with pytest.raises(InputError, match=r"was trained on x with the checksum 0f, and .* has 1e: give the same images"):
        claim_run(tmp_path, record._replace(data=DataId("x", "squash", "1e")))  # its history may be gone
    assert read_record(tmp_path) == record
    claim_run(tmp_path / "old", Record(BOOK))
    (tmp_path / "old" / "checkpoints" / "6").mkdir(parents=True)
    claim_run(tmp_path / "old", record)
    assert read_record(tmp_path / "old").data is None  # an older run does not learn what it cannot have checked


def test_a_run_that_has_begun_keeps_to_its_judge(tmp_path):
    def record(path, digest):
        return Record(BOOK.replace(objective=Perceptual(beta=1.0, judge=path)), judge=digest)

    run, old = tmp_path / "run", tmp_path / "old"
    for folder, digest in ((run, "0a"), (old, "")):
        claim_run(folder, record("judge1", digest))
        (folder / "checkpoints" / "6").mkdir(parents=True)
    claim_run(run, record("./judge1", "0a"))  # the same one, by another path
    assert read_record(run) == record("./judge1", "0a")
    with pytest.raises(
        InputError, match=r"with judge=\./judge1 of the digest 0a \(now judge1 of the digest 0b\): give the same"
    ):
        claim_run(run, record("judge1", "0b"))
    claim_run(old, record("judge1", "0a"))  # as an older jvae wrote it
    with pytest.raises(InputError, match=r"with judge=judge1 \(now \./judge1\)"):
        claim_run(old, record("./judge1", "0a"))
    assert read_record(old).judge == ""


def test_an_old_run_directory_says_which_version_wrote_it(tmp_path):
    old: dict = {"preset": "demo", "image_size": 64, "widths": [16], "checksum": "00000000"}  # as version 0.1 wrote it
    (tmp_path / "config.json").write_text(json.dumps(old))
    with pytest.raises(InputError, match=r"was written by jvae 0\.1, whose runs this version does not read: train"):
        read_record(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(old | {"version": "9.0", "format": FORMAT + 1}))
    with pytest.raises(InputError, match=r"was written by jvae 9\.0, .*: update jvae"):
        read_record(tmp_path)


def test_settings_that_are_no_config_do_not_pass():
    with pytest.raises(TypeError):
        Config()  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"latent_dim": True}, "latent_dim=True: must be int"),
        ({"latent_dim": "8"}, "latent_dim='8': must be int"),
        ({"batch_size": 8.0}, "batch_size=8.0: must be int"),
        ({"learning_rate": "fast"}, "learning_rate='fast': must be float"),
        ({"widths": 32}, "widths=32: must be"),
        ({"schedule": 1}, "schedule=1: must be"),
    ],
)
def test_values_of_another_type_are_named(changes, said):
    with pytest.raises(InputError, match=said):
        BOOK.replace(**changes)


def test_an_array_is_as_good_as_a_tuple():
    assert BOOK.replace(widths=np.array([16, 32, 64, 128])) == BOOK.replace(widths=(16, 32, 64, 128))
