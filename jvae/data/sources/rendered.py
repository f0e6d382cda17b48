"""Rendered faces: attributes from a small causal chain, continuous factors given them, and the pictures they make."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jvae.config import check_seed
from jvae.data.source import Example, spread
from jvae.data.sources.face_drawing import draw
from jvae.data.sources.face_shape import NAMES, Factors
from jvae.errors import InputError, unknown

BELL = Factors._fields[1 : Factors._fields.index("smile")]
EVEN = Factors._fields[Factors._fields.index("smile") :]
HAIR_COLOURS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")
BATCH = 64
TELLING = 64  # faces by which one tells a seed


def _sample_attributes(u):
    """A face's attributes from one number in [0,1) for each: a small causal chain with CelebA's correlations.

    Sex first, and age given sex. Given both: baldness and hair colour; then what baldness rules out (bangs, and a hat,
    which would hide it), brows, nose, weight, skin, glasses, tie, beard, lipstick. Given lipstick: rosy cheeks and
    earrings. Smiles depend on sex, an open mouth and narrow eyes on the smile. What is rarer in CelebA is raised to 4%.
    """
    has = {}
    male = has["Male"] = u["Male"] < 0.42
    young = has["Young"] = u["Young"] < jnp.where(male, 0.66, 0.87)

    def given(who, woman, young_man, old_woman=None, old_man=None):
        old_woman, old_man = woman if old_woman is None else old_woman, young_man if old_man is None else old_man
        return u[who] < jnp.where(male, jnp.where(young, young_man, old_man), jnp.where(young, woman, old_woman))

    bald = has["Bald"] = given("Bald", 0.0, 0.05, 0.0, 0.22)
    # hair colour: shares of black, blond, brown, gray; the rest is red, which has no label
    shares = jnp.where(
        young,
        jnp.where(male, jnp.asarray([0.40, 0.08, 0.32, 0.01]), jnp.asarray([0.26, 0.28, 0.30, 0.005])),
        jnp.where(male, jnp.asarray([0.20, 0.05, 0.20, 0.42]), jnp.asarray([0.15, 0.22, 0.22, 0.28])),
    )
    edges = jnp.cumsum(shares)
    colour = jnp.sum(u["Black_Hair"] >= edges)
    for i, name in enumerate(HAIR_COLOURS):
        has[name] = colour == i
    has["Bangs"] = given("Bangs", 0.24, 0.12) & ~bald
    has["Wearing_Hat"] = given("Wearing_Hat", 0.05, 0.11) & ~bald
    has["Bushy_Eyebrows"] = given("Bushy_Eyebrows", 0.07, 0.28)
    has["Big_Nose"] = given("Big_Nose", 0.10, 0.34, 0.20, 0.48)
    has["Chubby"] = given("Chubby", 0.04, 0.10, 0.16, 0.24)
    has["Pale_Skin"] = given("Pale_Skin", 0.08, 0.04)
    has["Eyeglasses"] = given("Eyeglasses", 0.06, 0.13, 0.20, 0.34)
    has["Wearing_Necktie"] = given("Wearing_Necktie", 0.005, 0.18, 0.005, 0.34)
    beard = given("No_Beard", 0.0, 0.40, 0.0, 0.40)
    kind = u["Goatee"]  # goatee, moustache, both, or a full beard
    has["No_Beard"] = ~beard
    has["Goatee"] = beard & ((kind < 0.27) | (kind >= 0.73))
    has["Mustache"] = beard & ((kind >= 0.27) & (kind < 0.48) | (kind >= 0.73))
    lipstick = has["Wearing_Lipstick"] = given("Wearing_Lipstick", 0.84, 0.01, 0.66, 0.01)
    has["Rosy_Cheeks"] = u["Rosy_Cheeks"] < jnp.where(lipstick, 0.17, 0.02)
    has["Wearing_Earrings"] = u["Wearing_Earrings"] < jnp.where(lipstick, 0.36, jnp.where(male, 0.03, 0.18))
    smiling = has["Smiling"] = given("Smiling", 0.55, 0.43)
    has["Mouth_Slightly_Open"] = u["Mouth_Slightly_Open"] < jnp.where(smiling, 0.70, 0.26)
    has["Narrow_Eyes"] = u["Narrow_Eyes"] < jnp.where(smiling, 0.16, 0.09)
    return has


def _sample(key, index):
    """The factors of one face, from a key of its own and nothing else."""
    u = jax.random.uniform(jax.random.fold_in(key, index), (len(NAMES) + 2 * len(BELL) + len(EVEN),), jnp.float32)
    chances, first, second, even = jnp.split(u, np.cumsum([len(NAMES), len(BELL), len(BELL)]))
    has = _sample_attributes(dict(zip(NAMES, chances, strict=True)))
    # The sum of two even numbers is bell-shaped enough, bounded, and the same to the bit in every batch.
    factors = dict(zip(BELL + EVEN, [*(first + second - 1.0), *(2.0 * even - 1.0)], strict=True))
    spread = factors["hair_length"]
    factors["hair_length"] = jnp.where(has["Male"], -0.72 + 0.2 * spread, 0.45 + 0.5 * spread)
    factors["skin_tone"] = jnp.where(has["Blond_Hair"], 0.5 * factors["skin_tone"] - 0.45, factors["skin_tone"])
    return Factors(attrs=jnp.stack([has[name] for name in NAMES]), **factors)


@jax.jit
def _sample_all(key, indices):
    return jax.vmap(partial(_sample, key))(indices)


def sample_factors(seed: int, indices) -> Factors:
    """The factors of some faces.

    Args:
      seed: which world of faces.
      indices: integers [n], not negative. Face i of a seed depends on nothing but the two.

    Returns:
      Factors with fields [n].
    """
    return _sample_all(jax.random.key(check_seed(seed), impl="threefry2x32"), jnp.asarray(indices, jnp.uint32))


def attributes(factors: Factors) -> jax.Array:
    """The labels, bool [n,a] in the order of `RenderedFaces.attribute_names`: what the picture was drawn from."""
    return factors.attrs


def counterfactual(factors: Factors, attribute: str, value: bool) -> Factors:
    """The same faces with one attribute set: the ground truth of an edit.

    Every continuous factor stays, so colours, pose, light and background do, and what is put on is what was always
    waiting there (the face's own glasses, hat, beard). A face that has the value already is unchanged. Other labels
    change only where the two cannot both be:
      hair colours  setting one clears the others; clearing one leaves red hair, which has no label.
      Bald, Bangs   setting one clears the other.
      beards        No_Beard, Goatee and Mustache name the kind: neither of the last two is a full beard. Setting one
                    of them clears No_Beard; clearing the last of them, or setting No_Beard, shaves the face clean;
                    clearing No_Beard grows a full beard.

    Args:
      factors: fields [n].
      attribute: a CelebA name among `RenderedFaces.attribute_names`.
      value: with it or without.

    Returns:
      Factors with fields [n].

    Raises:
      InputError: there is no such attribute.
    """
    if attribute not in NAMES:
        raise unknown("attribute", attribute, NAMES)
    had = dict(zip(NAMES, jnp.moveaxis(factors.attrs, -1, 0), strict=True))
    no, yes = jnp.zeros_like(had[attribute]), jnp.ones_like(had[attribute])
    has = had | {attribute: yes if value else no}
    if attribute in HAIR_COLOURS and value:
        has |= {name: no for name in HAIR_COLOURS if name != attribute}
    if attribute in ("Bald", "Bangs") and value:
        has["Bangs" if attribute == "Bald" else "Bald"] = no
    if attribute == "No_Beard" and value:
        has |= {"Goatee": no, "Mustache": no}
    if attribute in ("Goatee", "Mustache"):
        has["No_Beard"] = no if value else ~(has["Goatee"] | has["Mustache"])
    attrs = jnp.stack([has[name] for name in NAMES], axis=-1)
    changed = had[attribute] != value
    return factors._replace(attrs=jnp.where(changed[..., None], attrs, factors.attrs))


@jax.jit
def _quantise(images):
    return jnp.round(images * 255.0).astype(jnp.uint8)


def _joined(batches: list[jax.Array], count: int, empty: np.ndarray) -> np.ndarray:
    """The first `count` rows of all the batches."""
    return np.concatenate([np.asarray(batch) for batch in batches])[:count] if batches else empty


def holds_faces_of(store: Any, seed: int) -> bool:
    """Whether the faces of a store are rendered ones of a seed, by the labels of some; it may hold any of them."""
    rows = spread(np.arange(len(store)), TELLING)
    numbers = [image_id.removeprefix("rendered-") for image_id in store.image_ids[rows].tolist()]
    if not all(number.isdecimal() for number in numbers):
        return False
    faces, columns = np.array(numbers, int), [store.attribute(name) for name in NAMES]
    return bool((RenderedFaces(faces.max() + 1, seed).labels(faces) == store.attrs[rows][:, columns]).all())


class RenderedFaces:
    """Rendered faces, each a function of the seed and its number alone.

    Args:
      count: number of faces, at least 1.
      seed: seed of the faces.
      size: height and width in pixels, a multiple of 16.

    Raises:
      InputError: a number is out of its range.
    """

    name = "rendered"
    attribute_names = NAMES

    def __init__(self, count: int = 20000, seed: int = 0, size: int = 64):
        if count < 1:
            raise InputError(f"count={count}: there must be at least 1 face")
        if size < 16 or size % 16:
            raise InputError(f"size={size} is not a multiple of 16: use {max(16, round(size / 16) * 16)}")
        self.count, self.seed, self.size = count, check_seed(seed), size

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Example:
        """Face `i`. For many faces `render` and `labels` are faster."""
        i = int(self._checked([i])[0])
        return Example(self.render([i])[0], self.labels([i])[0], self.image_id(i), self.split(i))

    def render(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """The pictures of faces `indices` [n]: uint8 [n,size,size,3], RGB. The same whatever else is asked for."""
        images = [_quantise(draw(factors, self.size)) for factors in self._factors(indices)]
        return _joined(images, len(indices), np.zeros((0, self.size, self.size, 3), np.uint8))

    def labels(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """The labels of faces `indices` [n]: bool [n,a], in the order of `attribute_names`."""
        attrs = [attributes(factors) for factors in self._factors(indices)]
        return _joined(attrs, len(indices), np.zeros((0, len(NAMES)), np.bool_))

    def image_id(self, i: int) -> str:
        """The name of face `i`."""
        return f"rendered-{i:06d}"

    def split(self, i: int) -> str:
        """Which split face `i` belongs to: of every 20 one is for test, one for validation."""
        return {0: "test", 10: "validation"}.get(i % 20, "train")

    def _checked(self, indices) -> np.ndarray:
        indices = np.asarray(indices, np.int64).reshape(-1)
        wrong = indices[(indices < -self.count) | (indices >= self.count)]
        if wrong.size:
            raise IndexError(f"face {wrong[0]} of {self.count}")
        return indices % self.count

    def _factors(self, indices) -> Iterator[Factors]:
        """Factors in batches of one size, the last padded, so that everything compiles once."""
        indices = self._checked(indices)
        padded = np.append(indices, np.zeros(-len(indices) % BATCH, np.int64))
        for start in range(0, len(padded), BATCH):
            yield sample_factors(self.seed, padded[start : start + BATCH])
