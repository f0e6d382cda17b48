"""Edits the face in a photograph of your own.

    python experiments/edit_photo.py --run runs/y --image me.jpg --attribute Smiling --factors 1 2 3

writes runs/y/figures/me-Smiling.png, the whole photograph with the last factor, and beside it me-Smiling-sheet.png, the
face with every factor. Nothing leaves the machine.
"""

from pathlib import Path
from typing import Literal

import numpy as np

import jvae
from jvae import cli
from jvae.data.faces import crop_of
from jvae.data.packed import preprocess
from jvae.errors import InputError
from jvae.latent.attribute import UNIT_NAMES, Unit, factor_names, warn_beyond
from jvae.latent.kinds import Name, find_kind
from jvae.photo.eyes import find_place
from jvae.photo.frame import align, close_up, paste, place_by_eyes, read_photo, save_photo
from jvae.render.figure import check_suffix, labelled, save_png
from jvae.render.residual import changes
from jvae.trained import load_vectors


def main(
    run: Path,
    image: Path,
    attribute: str,
    factors: tuple[float, ...] = (-2, -1, 0, 1, 2),
    unit: Unit = "unit",
    kind: Name | None = None,
    balance: tuple[str, ...] = (),
    keep: tuple[str, ...] = (),
    residual: bool = True,
    eyes: tuple[float, float, float, float] | None = None,
    face: int | None = None,
    data: Path | None = None,
    crop: Literal["center", "squash", "rendered"] | None = None,
    vectors: Path | None = None,
    out: Path | None = None,
) -> None:
    """Edits the face in a photograph: the whole photograph with the last factor, and a sheet of the face with each.

    Args:
      run: directory of the trained run.
      image: the photograph, JPEG or PNG (or WebP, BMP).
      attribute: whose vector is added.
      factors: how often, one after the other; the photograph is written with the last.
      unit: of the factors: unit length, raw (1 is the way between the mean faces), sd (standard deviations), or
        probability (where to, between 0 and 1, instead of how far).
      kind: of the vectors: difference (the book's), balanced, regression, lda, conditional (default: as saved).
      balance: attributes by whose groups a balanced vector averages.
      keep: attributes along whose vectors nothing shall change, whatever the kind.
      residual: paint only the change, so that the photograph keeps its detail; without, lay the decoded face over it.
      eyes: x y x y of the middles of the eyes, in pixels from the top left; found if not given.
      face: which one of several, from 1 for the largest.
      data: packed store the run was trained on, for how its images are cropped.
      crop: how they are cropped (default: as in --data; without, squash for the preset book and center for
        others; rendered where the run was trained on rendered faces).
      vectors: file of the vectors (default: vectors.npz in the run).
      out: PNG to write (default: figures/<photograph>-<attribute>.png in the run); the sheet is <out>-sheet.png.
    """
    out = out or run / "figures" / f"{image.stem}-{attribute}.png"
    check_suffix(out, ".png")
    if out.exists() and image.exists() and out.samefile(image):
        raise InputError(f"--out {out} is the photograph itself: write elsewhere")
    if eyes is not None and face is not None:
        raise InputError("--eyes and --face are two ways to say which face: give one")
    photo = read_photo(image)
    if eyes is not None:
        place = place_by_eyes(photo, eyes)
    else:
        place, found = find_place(photo, face)
        print(f"found a face {found}")
    model = jvae.load(run)
    known = load_vectors(run, model, vectors, find_kind(kind, balance, keep))
    vector = known[attribute]
    cut = crop_of(model.config, data, crop)
    z = model.encode(preprocess(align(photo.pixels, place), model.image_size, cut)[None])
    latents = jvae.apply_vector(z, vector, factors, unit)
    warn_beyond(vector, latents)
    if residual:
        layers = changes(model.decode_fn, model.variables, z, latents)[0]  # [f,h,w,3]
    else:
        layers = model.decode(latents)[0].astype(np.float32) / 255
    edited, tiles = photo.pixels, [close_up(photo.pixels, place)]
    for layer in layers:
        edited = paste(photo.pixels, layer, place, cut, residual=residual)
        tiles.append(close_up(edited, place))
    names = factor_names(factors, unit)
    sheet = labelled(
        np.stack(tiles)[None],
        columns=["original", *names],
        title=f"{attribute} ({known.kind}), in {UNIT_NAMES[unit]}",
        breaks=(1,),
        scale=1,
    )
    save_png(out.with_name(f"{out.stem}-sheet.png"), sheet)
    save_photo(out, edited, photo.profile)
    print(f"wrote {out} with {attribute} {names[-1]}, and {out.stem}-sheet.png with all factors")


if __name__ == "__main__":
    cli.run(main)
