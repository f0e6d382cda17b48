import numpy as np
import pytest

from jvae.data.sources.face_drawing import draw
from jvae.data.sources.rendered import attributes, counterfactual, sample_factors
from jvae.errors import InputError
from jvae.evaluate.truth import CHANGED, edit_truth, rendered_pairs
from jvae.latent.attribute import AttributeVector

SIZE, SEED, FACES = 16, 7, 100


class Pixels:
    """A model whose latents are the pixels themselves, so that nothing is lost."""

    image_size = SIZE

    def encode(self, images):
        return images.reshape(len(images), -1).astype(np.float32) / 255

    def decode(self, z):
        pictures = np.round(np.clip(z, 0, 1) * 255).astype(np.uint8)
        return pictures.reshape(*z.shape[:-1], SIZE, SIZE, 3)


def pairs(attribute):
    """Faces without it, and the same with it, float [n,h,w,3]."""
    sampled = sample_factors(SEED, np.arange(128))
    changed = counterfactual(sampled, attribute, True)
    new = np.asarray((attributes(sampled) != attributes(changed)).any(1)) & (np.arange(128) < FACES)
    return (np.asarray(draw(factors, SIZE))[new] for factors in (sampled, changed))


def all_pairs(attribute):
    return rendered_pairs(Pixels(), attribute, seed=SEED, faces=FACES)


def vector_of(attribute, direction):
    v = direction.reshape(-1).astype(np.float64)
    return AttributeVector(attribute, v, 10, 10, np.zeros_like(v), spread=float(np.linalg.norm(v)))


def test_by_definition():
    x, target = pairs("Wearing_Hat")
    hat = vector_of("Wearing_Hat", (target - x).mean(0))
    found = edit_truth(Pixels(), hat, all_pairs("Wearing_Hat"), factors=np.array([0, 0.5, 1, 3]))
    ought = (np.abs(target - x) > CHANGED).any(-1)
    error = ((x - target) ** 2).mean(-1)
    assert found.faces == len(x) and found.region == pytest.approx(ought.mean())
    assert found.inside[0] == pytest.approx(error[ought].mean(), rel=0.01)
    assert found.outside[0] < 1e-4 and found.inside_best < 1e-5 and found.outside_best < 1e-5
    assert found.best == 2 and 0.1 < found.closed < 1  # the mean hat is nearer than none
    assert found.outside[3] > found.outside[2] > found.outside[0] and found.spoilt > 1


def test_the_way_back_is_worse_than_no_edit():
    x, target = pairs("Eyeglasses")
    away = vector_of("Eyeglasses", (x - target).mean(0))
    found = edit_truth(Pixels(), away, all_pairs("Eyeglasses"), factors=np.array([0, 1.0]))
    assert found.best == 0 and found.closed == 0 and found.spoilt == 1


def test_bad_input():
    with pytest.raises(InputError, match="unknown attribute 'Hat'"):
        rendered_pairs(Pixels(), "Hat", seed=0)
