"""The flags that commands share, written once: a dataclass a group, which does what its flags are for."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from jvae import trained
from jvae.cli.annotated import Many, Maybe, unless_none
from jvae.data.faces import NamedFaces, find_faces, open_store, pick_faces
from jvae.data.packed import PackedStore
from jvae.errors import InputError
from jvae.latent.attribute import Unit
from jvae.latent.kinds import KINDS, Kind, find_kind
from jvae.latent.trajectories import Trajectory
from jvae.latent.vectors import AttributeVectors
from jvae.render.movie import check_movie, save_movie
from jvae.render.sheet import check_suffix, save_png, sheet
from jvae.trained import TrainedModel

PROBABILITIES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)  # to go to, where a flag names no factors


@dataclasses.dataclass(frozen=True)
class Run:
    """The trained model.

    Attributes:
      run: directory of the trained run.
    """

    run: Path

    def load(self) -> TrainedModel:
        """The model of the run.

        Raises:
          InputError: see `jvae.trained.load`.
        """
        return trained.load(self.run)


@dataclasses.dataclass(frozen=True)
class Trained(Run):
    """The trained model, and the faces it is shown.

    Attributes:
      data: packed store of faces.
    """

    data: Path

    def open(self) -> tuple[TrainedModel, PackedStore]:
        """The model, and the store.

        Raises:
          InputError: one of them is not there or damaged, or the store's images are of another size.
        """
        model = self.load()
        return model, open_store(self.data, model.image_size, model.data)


@dataclasses.dataclass(frozen=True)
class Faces:
    """Which faces of the store to take.

    Attributes:
      images: faces to take, instead of choosing some: image_ids of the store, or image files.
      split: split to choose faces from: train, validation or test.
      count: number of faces to choose at random, at most.
      seed: seed of the choice, and of every other random draw.
    """

    images: Many[str] = ()
    split: str = "test"
    count: int = 5
    seed: int = 0

    def choose(self, store: PackedStore, crop: str | None = None, **who: str) -> NamedFaces:
        """The faces; those chosen at random have the attribute `having` or lack `without`; files are cropped by `crop`.

        Raises:
          InputError: see `jvae.data.faces`.
        """
        if self.images:
            return find_faces(store, self.images, crop)
        return pick_faces(store, self.count, split=self.split, seed=self.seed, **who)


@dataclasses.dataclass(frozen=True)
class Kinds:
    """Which kind of vector to take.

    Attributes:
      kind: kind of the vectors; difference is the book's (default: the kind they were saved as, or else difference).
      balance: attributes by which faces are grouped for balanced vectors, which average over the groups.
      keep: attributes that an edit should leave as they are, whatever the kind.
    """

    kind: Annotated[str | None, tyro.conf.arg(metavar=f"{{{','.join(KINDS)}}}", help_behavior_hint=unless_none)] = None
    balance: Many[str] = ()
    keep: Many[str] = ()

    def find(self) -> Kind | None:
        """The kind that the flags name; None where they name none.

        Raises:
          InputError: flags that do not go together.
        """
        return find_kind(self.kind, self.balance, self.keep)


@dataclasses.dataclass(frozen=True)
class VectorFile:
    """Where to read the attribute vectors from.

    Attributes:
      vectors: file of the attribute vectors (default: vectors.npz in the run).
    """

    vectors: Maybe[Path] = None


@dataclasses.dataclass(frozen=True)
class Vectors(Kinds, VectorFile):
    """Which attribute vectors to take."""

    def load(self, run: Run, model: TrainedModel) -> AttributeVectors:
        """The vectors of a run.

        Raises:
          InputError: see `jvae.trained.load_vectors`.
        """
        return trained.load_vectors(run.run, model, self.vectors, self.find())


@dataclasses.dataclass(frozen=True)
class Steps(Vectors):
    """Which attribute vectors to take, and how far to go along them.

    Attributes:
      unit: what a factor multiplies: a vector of unit length (unit), the vector at its own length, which leads from
        the mean face without the attribute to the mean face with it (raw), or a standard deviation of the data (sd).
        With probability, a factor is no multiple, but the probability of the attribute to go to, between 0 and 1.
    """

    unit: Unit = "unit"


@dataclasses.dataclass(frozen=True)
class Grid:
    """The size of the grid.

    Attributes:
      rows: number of rows.
      columns: number of columns.
    """

    rows: int = 7
    columns: int = 7

    def check(self, least: int) -> None:
        """Raises InputError where there are fewer rows or columns than `least`."""
        if min(self.rows, self.columns) < least:
            raise InputError(f"rows={self.rows} and columns={self.columns} must be at least {least}")


@dataclasses.dataclass(frozen=True)
class Motion:
    """The way from face to face, and an animation of it.

    Attributes:
      trajectory: shape of the way: a straight line (lerp), a turn at an even rate (slerp), or a straight line in the
        probabilities of a normal distribution (gaussian).
      even: space the points so that the picture changes at an even speed.
      movie: file to write an animation to, .gif or .mp4 (which needs the extra video).
      frames: number of frames of the animation, from one face to the next (default: 30).
    """

    trajectory: Trajectory = "lerp"
    even: bool = False
    movie: Maybe[Path] = None
    frames: Maybe[int] = None

    def check(self, *, of_a_grid: bool = False) -> None:
        """Raises InputError where the animation could not be written; to be called before the work.

        Args:
          of_a_grid: whether the picture is a grid, whose points `even` does not space, but the movie's alone.
        """
        if of_a_grid and self.even and self.movie is None:
            raise InputError("--even is for the movie, as the grid is evenly spaced in latents: give --movie, too")
        if self.frames is not None and self.movie is None:
            raise InputError(f"--frames {self.frames} is of the movie: give --movie, too")
        if self.frames is not None and self.frames < 2:
            raise InputError(f"frames={self.frames} must be at least 2: both faces are frames")
        if self.movie is not None:
            check_movie(self.movie)

    @property
    def count(self) -> int:
        """Frames from one face to the next."""
        return 30 if self.frames is None else self.frames

    def by(self, model: TrainedModel) -> TrainedModel | None:
        """What `morph` and `loop` space points by."""
        return model if self.even else None

    def save(self, frames: np.ndarray, **how: Any) -> None:
        """Writes an animation of frames uint8 [n,h,w,3], see `save_movie`, and says so."""
        assert self.movie is not None
        save_movie(self.movie, frames, **how)
        print(f"wrote {self.movie}")


@dataclasses.dataclass(frozen=True)
class Chart:
    """The picture to write.

    Attributes:
      out: PNG to write (default: a file in figures/ of the run).
    """

    out: Maybe[Path] = None

    def path(self, run: Run, name: str) -> Path:
        """Where to write: figures/NAME.png in the run, if the flags say no other. A slash in the name becomes a dash.

        Raises:
          InputError: the flags name a file that does not end in .png.
        """
        out = self.out or run.run / "figures" / f"{name.replace('/', '-')}.png"
        check_suffix(out, ".png")
        return out


@dataclasses.dataclass(frozen=True)
class Figure(Chart):
    """The picture to write.

    Attributes:
      raw: write the bare tiles, without names, gaps or enlargement.
    """

    raw: bool = False

    def save(self, path: Path, tiles: np.ndarray, **names: Any) -> None:
        """Writes tiles uint8 [r,c,h,w,3] as one picture, see `sheet`, and says so."""
        save_png(path, sheet(tiles, raw=self.raw, **names))
        print(f"wrote {path}")
