import dataclasses

import pytest

from jvae.config import BOOK, PRESETS, Config, preset
from jvae.errors import InputError


def test_book_preset_is_the_books():
    # Generative Deep Learning (2019), chapter 3: the CelebA model
    assert BOOK.image_size == 128 and BOOK.widths == (32, 64, 64, 64) and BOOK.latent_dim == 200
    assert (BOOK.bn_momentum, BOOK.bn_epsilon, BOOK.leaky_slope, BOOK.dropout) == (0.99, 1e-3, 0.3, 0.25)
    assert (BOOK.r_loss_factor, BOOK.learning_rate, BOOK.batch_size, BOOK.epochs) == (10_000, 5e-4, 32, 200)
    assert BOOK.schedule == "constant" and BOOK.warmup_steps == 0


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    cfg = preset(name)
    assert cfg.preset == name
    assert Config.from_json(cfg.to_json()) == cfg


def test_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        BOOK.seed = 1  # type: ignore[misc]


def test_replacing_one_loss_weight_drops_the_other():
    cfg = BOOK.replace(sigma=0.1)
    assert cfg.sigma == 0.1 and cfg.r_loss_factor is None
    assert BOOK.replace(seed=3).r_loss_factor == 10_000


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_size": 100}, "image_size=100 is no multiple of 16"),
        ({"image_size": 48, "widths": (4,) * 5}, "image_size=48 is no multiple of 32, as 5 stride-2 layers need"),
        ({"image_size": 8}, "image_size=8 is no multiple of 16, as 4 stride-2 layers need: pack the store at 16"),
        ({"widths": ()}, "widths=()"),
        ({"r_loss_factor": 1.0, "beta": 1.0}, "exactly one"),
        ({"r_loss_factor": -1.0}, "r_loss_factor=-1.0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"steps": 0}, "steps=0"),
        ({"schedule": "cosin"}, "did you mean cosine"),
        ({"dtype": "float16"}, "unknown dtype 'float16'"),
    ],
)
def test_bad_values_are_named(changes, said):
    with pytest.raises(InputError, match=said.replace("(", r"\(").replace(")", r"\)")):
        BOOK.replace(**changes)


def test_no_loss_weight_is_an_error():
    with pytest.raises(InputError, match="given: none"):
        Config()


def test_unknown_preset_suggests():
    with pytest.raises(InputError, match="did you mean celeba64"):
        preset("celebA46")


def test_total_steps():
    assert BOOK.replace(epochs=2.0).total_steps(100) == 2 * 3  # whole batches of 32
    assert BOOK.replace(epochs=2.0, steps=5).total_steps(100) == 5
    with pytest.raises(InputError, match=r"epochs=1e\+09 are 3000000000 steps: must be at most 2147483647, give fewer"):
        BOOK.replace(epochs=1e9).total_steps(100)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"widths": [1], "colour": 3}'])
def test_what_is_no_config_is_refused(text):
    with pytest.raises(InputError, match=r"config|exactly one"):
        Config.from_json(text)
