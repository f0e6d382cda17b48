"""A face and what is done to it in; its picture, and what it shows, out: one small decoder call for each."""

import functools
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from PIL import Image
from scipy.special import expit

from jvae.data.packed import PackedStore
from jvae.errors import InputError
from jvae.explore.asks import Ask, Look, Start, Where, png, text
from jvae.explore.photos import Photos
from jvae.judge.judge import Judge
from jvae.latent import trajectories
from jvae.latent.moves import chances, move
from jvae.latent.priors import nearest_normal
from jvae.latent.vectors import AttributeVectors
from jvae.models.model import to_float
from jvae.photo.frame import Alignment, paste
from jvae.render.movie import save_movie
from jvae.render.residual import changes, render_residual
from jvae.trained import TrainedModel

STRIP = 10  # faces to choose from, at a time
FRAMES = 30  # of an animation


class Studio:
    """A run, ready to redraw.

    Attributes:
      run: directory of the run, as it was given.
      model: its model.
      known: its attribute vectors, of the kind they were saved as; None where there are none.
      store: faces to choose from, or None.
      judge: says what a picture shows, or None, for the vectors' own logits.
      photos: the photographs that were dropped in.
    """

    def __init__(
        self,
        run: Path,
        model: TrainedModel,
        known: AttributeVectors | None,
        store: PackedStore | None,
        judge: Judge | None,
        crop: str,
    ) -> None:
        self.run, self.model, self.known, self.store, self.judge = run, model, known, store, judge
        self.photos = Photos(crop, model.image_size)
        if judge is not None and judge.image_size != model.image_size:
            raise InputError(
                f"the judge judges images of {judge.image_size} pixels and the run's are of {model.image_size}"
            )

    def warm(self) -> None:
        """Compiles what a slider needs, so that the first move is as quick as all others."""
        start = self.sample(0)
        painted = self._start("", "store", self.model.decode(self._latent(start)))
        for face in (start, painted):
            self.show(ask := Ask(face, Look()))
            self._layer(ask, self.base(ask), self.base(ask))

    def from_store(self, image_id: str) -> Start:
        """A face of the store; InputError where there is none of this image_id, with the nearest."""
        if self.store is None:
            raise InputError("there is no store of faces: start jvae explore with --data")
        return self._start(image_id, "store", self.store.read([self.store.index(image_id)])[0])

    def tile(self, image_id: str) -> np.ndarray:
        """A face of the store to look at, not held against its checksum: uint8 [h,w,3]."""
        assert self.store is not None
        return np.asarray(self.store.images[self.store.index(image_id)])

    def sample(self, seed: int) -> Start:
        """A face from the normal distribution of the latents behind the vectors; without those, from the prior."""
        known = None if self.known is None else self.known.totals
        z = nearest_normal(known, self.model.latent_dim).sample(1, seed=seed)[0]
        return Start(f"sample {seed}", "sample", tuple(z.tolist()), self.model.digest)

    def from_photo(self, key: str, eyes: tuple[float, ...]) -> Start:
        """The face with these eyes in a photograph; none take the whole picture as a face that is framed already."""
        name = self.photos.read(key).name
        if not eyes:
            return self._start(name, "file", self.photos.as_it_is(key))
        return self._start(name, "photo", self.photos.framed(key, eyes), photo=key, eyes=eyes)

    def _start(
        self, name: str, source: Where, pixels: np.ndarray, photo: str = "", eyes: tuple[float, ...] = ()
    ) -> Start:
        z = self.model.encode(pixels[None])[0]
        return Start(name, source, tuple(z.tolist()), self.model.digest, text(png(pixels)), photo, eyes)

    def _latent(self, start: Start) -> np.ndarray:
        return start.latent(self.model.latent_dim, self.model.digest)

    def find(self, words: str, seed: int, without: str = "") -> list[str]:
        """Image_ids of up to `STRIP` faces of the store: the first whose id has the words in it, or some by chance.

        Args:
          words: parts of an image_id; names of attributes, or their beginnings, that the faces have or, with a dash
            before, have not.
          seed: of the choice.
          without: image_id that is not wanted.
        """
        if self.store is None:
            return []
        fits, ids = self.store.image_ids != without, np.char.lower(self.store.image_ids)
        names = {name.lower(): i for i, name in enumerate(self.store.attribute_names)}
        listed = False
        longest = map(re.escape, sorted(names, key=len, reverse=True))  # names first: there may be blanks in them
        word_or_name = "|".join([*longest, r"\S+"])
        for word in re.findall(rf"(?<!\S)-?(?:{word_or_name})(?!\S)", words.lower()):
            name, of_id = word.removeprefix("-"), np.char.find(ids, word) >= 0
            begun = None if of_id.any() else next((i for each, i in names.items() if each.startswith(name)), None)
            column = names.get(name, begun)
            if column is None:
                fits, listed = fits & of_id, True
            else:
                fits = fits & (self.store.attrs[:, column] != word.startswith("-"))
        rows = np.flatnonzero(fits)
        if not listed:
            test = rows[self.store.splits[rows] == "test"]
            rows = test if len(test) >= STRIP else rows
            rows = np.random.default_rng(seed).permutation(rows)
        return self.store.image_ids[rows[:STRIP]].tolist()

    def show(self, ask: Ask) -> tuple[np.ndarray, dict[str, float]]:
        """The picture, uint8 [h,w,3], and the probability of every attribute in it.

        Raises:
          InputError: what was asked does not fit the run; an attribute without a vector; or see `Photos`.
        """
        start, z, moved = self._moved(ask)
        pixels = self._original(ask)
        if start.photo and ask.end is None:
            part, alignment = self.photos.close_up(start.photo, start.eyes)
            picture, tile = self._pasted(ask, z, moved, part, alignment)
        elif pixels is not None and ask.look.paint:
            picture = tile = self._painted(pixels, z, moved[None])[0]
        else:
            picture = tile = self.model.decode(moved[None])[0]
        return picture, self._chances(ask.look, moved, tile)

    def profile(self, ask: Ask) -> bytes:
        """The ICC colour profile of the photograph that is shown; empty where it has none, or no photograph is."""
        start = ask.start
        return self.photos.read(start.photo).profile if start.photo and ask.end is None else b""

    def whole(self, ask: Ask) -> np.ndarray:
        """The whole photograph, edited, at its own size: uint8 [h,w,3]."""
        start, z, moved = self._moved(ask)
        layer, paint = self._layer(ask, z, moved), ask.look.paint
        return self.photos.painted(start.photo, start.eyes, layer, residual=paint)

    def around(self, ask: Ask, x: str, y: str, factors: tuple[float, ...]) -> np.ndarray:
        """The face with each of the factors of x, to the right, and of y, downwards: uint8 [f,f,h,w,3]."""
        looks = [[{**ask.look.moved, x: right, y: down} for right in factors] for down in factors]
        z = self.base(ask)
        grid = np.stack([self._move(ask.look, z, each) for row in looks for each in row])  # [f*f,d]
        pixels = self._original(ask)
        if pixels is not None and ask.look.paint:
            tiles = self._painted(pixels, z, grid)
        else:
            tiles = self.model.decode(grid)
        return tiles.reshape(len(factors), len(factors), *tiles.shape[1:])

    def movie(self, ask: Ask, suffix: str) -> bytes:
        """An animation of the way from one face to the other, with what the sliders do, as .gif or .mp4."""
        if ask.end is None:
            raise InputError("there is one face: choose another to morph into")
        look = ask.look
        ends, even = (self._latent(ask.start), self._latent(ask.end)), self.model if look.even else None
        way = trajectories.morph(*ends, FRAMES, look.trajectory, even=even)
        frames = self.model.decode(self._move(look, way, look.moved))
        with tempfile.TemporaryDirectory(prefix="jvae-") as folder:
            path = Path(folder, f"morph{suffix}")
            save_movie(path, frames)
            return path.read_bytes()

    def base(self, ask: Ask) -> np.ndarray:
        """Where the sliders start from, [d] float32."""
        z = self._latent(ask.start)
        if ask.end is None:
            return z
        return trajectories.between(z, self._latent(ask.end), ask.look.t, ask.look.trajectory)

    def _move(self, look: Look, z: np.ndarray, factors: dict[str, float]) -> np.ndarray:
        """Latents [d] or [n,d], moved."""
        if self.known is None:
            return z
        return move(np.atleast_2d(z), self.known.of_kind(look.of_kind), factors, "sd").reshape(z.shape)

    def _moved(self, ask: Ask) -> tuple[Start, np.ndarray, np.ndarray]:
        z = self.base(ask)
        return ask.start, z, self._move(ask.look, z, ask.look.moved)

    def _original(self, ask: Ask) -> np.ndarray | None:
        """The picture that a change is painted onto; on the way to another face there is none."""
        return ask.start.pixels(self.model.image_size) if ask.end is None else None

    def _painted(self, pixels: np.ndarray, z: np.ndarray, moved: np.ndarray) -> np.ndarray:
        return render_residual(self.model.decode_fn, self.model.variables, pixels[None], z[None], moved[None])[0]

    def _layer(self, ask: Ask, z: np.ndarray, moved: np.ndarray) -> np.ndarray:
        """What is pasted into a photograph, float32 [s,s,3]: the change, or the face."""
        if ask.look.paint:
            return changes(self.model.decode_fn, self.model.variables, z[None], moved[None, None])[0, 0]
        return self.model.decode(moved[None])[0].astype(np.float32) / 255

    def _pasted(
        self, ask: Ask, z: np.ndarray, moved: np.ndarray, part: np.ndarray, alignment: Alignment
    ) -> tuple[np.ndarray, np.ndarray]:
        """The part of a photograph with the face pasted, and the face as the model sees it."""
        layer, paint = self._layer(ask, z, moved), ask.look.paint
        pixels = self._original(ask)
        face = 255 * layer + (pixels if paint and pixels is not None else 0)
        tile = np.rint(np.clip(face, 0, 255)).astype(np.uint8)
        return paste(part, layer, alignment, self.photos.crop, residual=paint), tile

    def _chances(self, look: Look, z: np.ndarray, tile: np.ndarray) -> dict[str, float]:
        """The probability of every attribute: the judge's where it judges it, else that of the vector's own logit."""
        found = {} if self.known is None else chances(z, self.known.of_kind(look.of_kind))
        if self.judge is not None:
            logits = np.asarray(self._judging(self.judge.variables, tile[None]))[0]
            found |= dict(zip(self.judge.attribute_names, expit(logits).tolist(), strict=True))
        return found

    @functools.cached_property
    def _judging(self) -> Callable:
        assert self.judge is not None
        logits_fn = self.judge.logits_fn
        return jax.jit(lambda variables, images: logits_fn(variables, to_float(images)))


def enlarged(pixels: np.ndarray, times: int) -> np.ndarray:
    """Pixels uint8 [h,w,3] at so many times their size (Lanczos)."""
    h, w = pixels.shape[:2]
    return np.asarray(Image.fromarray(pixels).resize((times * w, times * h), Image.Resampling.LANCZOS))
