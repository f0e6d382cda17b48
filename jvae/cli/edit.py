"""`jvae edit`: faces of a store, or the face in a photograph, moved along an attribute."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from jvae.cli.annotated import Many, Maybe
from jvae.cli.flags import PROBABILITIES, Faces, Figure, Run, Steps
from jvae.data.faces import NamedFaces, crop_of, open_store
from jvae.data.packed import preprocess
from jvae.errors import InputError
from jvae.evaluate.strength import PRICES, foresee
from jvae.io.arrays import read_npy
from jvae.latent.attribute import BEYOND, UNIT_NAMES, AttributeVector, factor_names, warn_beyond
from jvae.latent.moves import move, move_to
from jvae.latent.trajectories import apply_vector
from jvae.photo.eyes import find_alignment
from jvae.photo.frame import Alignment, Photo, align, alignment_by_eyes, close_up, paste, read_photo, save_photo
from jvae.render.residual import changes, render_residual
from jvae.render.sheet import save_png, sheet
from jvae.trained import TrainedModel

FACTORS = (-4, -3, -2, -1, 0, 1, 2, 3, 4)
OF_A_PHOTO = (-2, -1, 0, 1, 2)
TRIED = 20.0  # standard deviations, at most


@dataclasses.dataclass(frozen=True)
class Photograph:
    """A photograph of your own, edited instead of the faces of a store.

    Attributes:
      photo: photograph to edit, JPEG or PNG (or WebP, BMP).
      eyes: middles of both eyes, x y x y, in pixels from the top left (default: they are looked for).
      face: number of the face to edit, from 1 for the largest, where there are several.
      crop: crop of the images the run was trained on, for runs of an older version, which do not say (default: as in
        --data; without, squash for the preset book and center for others).
    """

    photo: Maybe[Path] = None
    eyes: Maybe[tuple[float, float, float, float]] = None
    face: Maybe[int] = None
    crop: Maybe[Literal["center", "squash", "rendered"]] = None

    def find(self, photo: Photo) -> Alignment:
        """Where the face is.

        Raises:
          InputError: see `find_alignment` and `alignment_by_eyes`.
        """
        if self.eyes is not None:
            return alignment_by_eyes(photo, self.eyes)
        alignment, found = find_alignment(photo, self.face)
        print(f"found a face {found}")
        return alignment


@dataclasses.dataclass(frozen=True)
class Chosen:
    """How far each face goes, chosen by judges.

    Attributes:
      judges: judges, files or run directories, that choose for each face how far it goes, instead of --factors: where
        they see the attribute most and the rest change least.
      prices: prices of change, a column each: at 10, an edit is worth what it shows while less than a tenth of all
        other judgements turn over, and a face stays as it is where none is.
      most: standard deviations that they try at most, every half of one.
      away: let them choose how to take the attribute away, from faces that have it.
    """

    judges: Many[Path] = ()
    prices: tuple[float, ...] = PRICES
    most: float = BEYOND
    away: bool = False

    def check(self, others: bool) -> None:
        """Raises InputError for flags that do not go together; `others` says how far as well."""
        if not self.judges:
            if self != Chosen():
                raise InputError("--prices, --most and --away are for judges who choose how far: give --judges")
            return
        if others:
            raise InputError("--judges choose how far each face goes: leave out --factors, --unit and --also")
        if not self.prices or not all(0 <= price < np.inf for price in self.prices):
            raise InputError(f"prices={self.prices} must be numbers from 0 on: 10 is careful, 2.5 is bold")
        if not 0.5 <= self.most <= TRIED:
            raise InputError(f"most={self.most:g} must lie between 0.5 and {TRIED:g}: every half is tried up to it")


def main(
    run: Run,
    attribute: str,
    factors: Maybe[tuple[float, ...]] = None,
    also: Many[str] = (),
    data: Maybe[Path] = None,
    latents: Maybe[Path] = None,
    paint: Maybe[Literal["change", "face"]] = None,
    chosen: Chosen = Chosen(),
    steps: Steps = Steps(),
    faces: Faces = Faces(),
    photograph: Photograph = Photograph(),
    figure: Figure = Figure(),
) -> None:
    """Moves faces of a store along an attribute: a row for each face, with the original and a column for each factor.

    Or, with --photo, the face in a photograph of your own: writes the whole photograph edited by the last factor, and
    beside it a sheet of the face with each. Nothing leaves the machine.

    Args:
      attribute: attribute whose vector is added; faces chosen at random are faces without it.
      factors: multiples of the vector to add (default: -4 to 4, of a photograph -2 to 2, of probabilities .01 to .99).
      also: other attributes to move along first, each NAME=FACTOR, in every column.
      data: packed store the faces are from; with --photo, for runs that do not say their crop, a store of that crop.
      latents: latents to edit instead of a store's faces: float32 [d] or [n,d] in a .npy file.
      paint: what to paint onto the original: the change alone, so that it keeps its detail, or the decoded face
        (default: the change onto a photograph, else the face).
    """
    of_photo = photograph.photo is not None
    if not of_photo and photograph != Photograph():
        raise InputError("--eyes, --face and --crop are of a photograph: give --photo, too")
    if latents is not None and (of_photo or data is not None or faces != Faces() or paint == "change"):
        raise InputError(
            "--latents says where to start: leave out --photo, --data, --images and what else chooses faces, and "
            "--paint change"
        )
    if of_photo and faces != Faces():
        raise InputError("--photo says which face to edit: leave out --images, --split, --count and --seed")
    if not of_photo and data is None and latents is None:
        raise InputError("there is nothing to edit: give --data, a store of faces, or --photo, a photograph")
    chosen.check(others=factors is not None or bool(also) or steps.unit != "unit")
    factors = factors or (PROBABILITIES if steps.unit == "probability" else OF_A_PHOTO if of_photo else FACTORS)
    edit = _Edit(attribute, factors, _by_name(also), steps, chosen)
    if of_photo:
        _edit_photo(run, edit, data, photograph, figure, residual=paint != "face")
        return
    out = figure.path(run, attribute)
    model = run.load()
    if latents is not None:
        z = _read_latents(latents, model)
        some = NamedFaces(model.decode(z), [f"{latents.stem} {i}".removesuffix(" 0") for i in range(len(z))])
    else:
        assert data is not None
        who = {"having" if chosen.away else "without": attribute}
        some = faces.choose(open_store(data, model.image_size, model.data), model.crop, **who)
        z = model.encode(some.images)
    moved, columns, title = edit.of(run, model, z, some.names, some.images if paint == "change" else None)
    if paint == "change":
        tiles = render_residual(model.decode_fn, model.variables, some.images, z, moved)
    else:
        tiles = model.decode(moved)
    figure.save(
        out,
        np.concatenate([some.images[:, None], tiles], axis=1),
        rows=some.names,
        columns=["original", *columns],
        title=title,
        breaks=(1,),
    )


class _Edit(NamedTuple):
    """What is done to latents: `also` first, then each of the factors of the attribute, or what judges choose.

    Probabilities are gone to at once.
    """

    attribute: str
    factors: tuple[float, ...]
    also: dict[str, float]
    steps: Steps
    chosen: Chosen

    def of(
        self, run: Run, model: TrainedModel, z: np.ndarray, names: Sequence[str], onto: np.ndarray | None
    ) -> tuple[np.ndarray, list[str], str]:
        """Latents [n,d] of faces called `names` moved, [n,f,d], what each move is called, and a title.

        Judges look at the change as painted onto uint8 images [n,h,w,3], or, without any, at what is decoded.
        """
        known, unit = self.steps.load(run, model), self.steps.unit
        vector = known.moving(self.attribute)
        columns, how = factor_names(self.factors, unit), f"in {UNIT_NAMES[unit]}"
        if self.chosen.judges:
            moved = self._by_judges(model, vector, z, names, onto)
            columns, how = [f"price {price:g}" for price in self.chosen.prices], "each face as far as judges choose"
        elif unit == "probability":
            along = [*map(known.moving, self.also), vector]
            moved = move_to(z, along, [(*self.also.values(), factor) for factor in self.factors])
        else:
            moved = apply_vector(move(z, known, self.also, unit), vector, self.factors, unit)
        warn_beyond(vector, moved)
        also = "".join(f", {name} {factor_names([factor], unit)[0]}" for name, factor in self.also.items())
        return moved, columns, f"{self.attribute} ({known.kind}), {how}{also}"

    def _by_judges(
        self, model: TrainedModel, vector: AttributeVector, z: np.ndarray, names: Sequence[str], onto: np.ndarray | None
    ) -> np.ndarray:
        # here, as it imports pandas and scikit-learn, which takes a second or two
        from jvae.judge.judge import Judge

        judges = [Judge.load(path, mesh=model.mesh) for path in self.chosen.judges]
        for judge in judges:
            judge.warn_unless_cut_alike(model)
        step, away = vector.step("sd"), self.chosen.away
        factors = np.arange(int(2 * self.chosen.most) + 1) * (-0.5 if away else 0.5)
        seen = foresee(model, judges, self.attribute, step, factors, z, onto, away=away)
        own = factors[seen.choose(self.chosen.prices)]  # [n,p]
        for name, each in zip(names, own, strict=True):
            print(f"{name}: {', '.join(factor_names(each, 'sd'))} standard deviations")
        return (z[:, None] + own[..., None] * step).astype(np.float32)


def _by_name(also: tuple[str, ...]) -> dict[str, float]:
    """NAME=FACTOR by name."""
    found = {}
    for each in also:
        name, _, factor = each.rpartition("=")
        if name in found:
            raise InputError(f"--also {' '.join(also)}: gives {name} twice")
        try:
            found[name] = float(factor)
        except ValueError:
            name = ""
        if not name:
            raise InputError(f"--also {each}: must be NAME=FACTOR, such as Smiling=1.5")
    return found


def _read_latents(path: Path, model: TrainedModel) -> np.ndarray:
    """The latents [n,d] float32 of a file."""
    z = np.atleast_2d(read_npy(path))
    if z.ndim != 2 or z.shape[1] != model.latent_dim or z.dtype.kind != "f" or not np.isfinite(z).all():
        raise InputError(f"{path} holds {z.dtype} {list(z.shape)}: latents are finite numbers [n,{model.latent_dim}]")
    return z.astype(np.float32)


def _edit_photo(
    run: Run, edit: _Edit, data: Path | None, photograph: Photograph, figure: Figure, *, residual: bool
) -> None:
    path = photograph.photo
    assert path is not None
    out = figure.path(run, f"{path.stem}-{edit.attribute}")
    beside = out.with_name(f"{out.stem}-sheet.png")
    for written in (out, beside):
        if written.exists() and path.exists() and written.samefile(path):
            raise InputError(f"--out {out} writes {written}, which is the photograph itself: write elsewhere")
    if photograph.eyes is not None and photograph.face is not None:
        raise InputError("--eyes and --face are two ways to say which face: give one")
    photo = read_photo(path)
    alignment = photograph.find(photo)
    model = run.load()
    cut = crop_of(model.config, model.data, data, photograph.crop)
    image = preprocess(align(photo.pixels, alignment), model.image_size, cut)[None]
    z = model.encode(image)
    latents, names, title = edit.of(run, model, z, [path.name], image if residual else None)
    if residual:
        layers = changes(model.decode_fn, model.variables, z, latents)[0]  # [f,h,w,3]
    else:
        layers = model.decode(latents)[0].astype(np.float32) / 255
    edited, tiles = photo.pixels, [close_up(photo.pixels, alignment)]
    for layer in layers:
        edited = paste(photo.pixels, layer, alignment, cut, residual=residual)
        tiles.append(close_up(edited, alignment))
    picture = sheet(
        np.stack(tiles)[None], columns=["original", *names], title=title, breaks=(1,), scale=1, raw=figure.raw
    )
    save_png(beside, picture)
    save_photo(out, edited, photo.profile)
    print(f"wrote {out} with {edit.attribute} {names[-1]}, and {beside.name} with all factors")
