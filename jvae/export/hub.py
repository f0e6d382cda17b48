"""What is exported in; a folder for a model hub, of weights, vectors of every kind and pictures, out."""

from pathlib import Path

import numpy as np

from jvae.export.bundle import Bundle, directions, faces
from jvae.render.sheet import save_png, sheet
from jvae.training.exported import WEIGHTS, write_exported
from jvae.training.run import Record

VECTORS, DIRECTIONS, PICTURE = "vectors.npz", "directions.npz", "edits.png"
FACES, SHOWN, FACTORS = 3, 3, (-2.0, 2.0)  # of the picture: rows, attributes, and standard deviations


def write_hub(folder: Path, bundle: Bundle) -> list[str]:
    """Writes model.safetensors, config.json and, where there are vectors, these of every kind and a picture of edits.

    Returns:
      A line on the weights.

    Raises:
      InputError: safetensors is not installed.
    """
    model = bundle.model
    write_exported(folder, Record(model.config, (), model.data, model.teacher), model.step, model.variables)
    if bundle.vectors is not None:
        bundle.vectors.save(folder / VECTORS)
        save_directions(folder / DIRECTIONS, bundle)
        save_png(folder / PICTURE, edits_sheet(bundle))
    return [f"{WEIGHTS}: {(folder / WEIGHTS).stat().st_size / 1e6:.2f} MB, {len(bundle.kinds)} kinds of vectors"]


def save_directions(path: Path, bundle: Bundle) -> None:
    """Writes the vectors of every kind for readers that have no jvae, as an .npz without pickles.

    It holds `names` [a] and `kinds` [k], and for each kind and attribute `directions` [k,a,d], what to add to z for one
    standard deviation of the data; and `mean`, `spread`, `slope` and `intercept` [k,a] of z along it, see
    `jvae.latent.attribute.AttributeVector`. What has no vector is NaN.
    """
    names = sorted({name for known in bundle.kinds for name in known})
    lines = ("mean", "spread", "slope", "intercept")
    found = {"directions": np.full((len(bundle.kinds), len(names), bundle.model.latent_dim), np.nan, np.float32)}
    found |= {line: np.full((len(bundle.kinds), len(names)), np.nan, np.float32) for line in lines}
    for k, known in enumerate(bundle.kinds):
        rows = [names.index(name) for name in known.names]
        found["directions"][k, rows] = directions(known)
        for line in lines:
            found[line][k, rows] = [getattr(known[name], line) for name in known.names]
    kinds = np.array([str(known.kind) for known in bundle.kinds])
    np.savez(path, names=np.array(names), kinds=kinds, **found)  # pyright: ignore[reportArgumentType]


def edits_sheet(bundle: Bundle) -> np.ndarray:
    """A picture of sampled faces and their edits along the clearest vectors: uint8 [h,w,3]."""
    known = bundle.vectors
    assert known is not None
    shown = known.table().index[:SHOWN].tolist()
    z = faces(bundle, FACES)
    steps = [factor * known[name].step("sd") for name in shown for factor in FACTORS]
    tiles = bundle.model.decode(np.stack([z, *(z + step for step in steps)], axis=1))
    columns = ["sampled", *(f"{name} {factor:+g}" for name in shown for factor in FACTORS)]
    return sheet(tiles, columns=columns, breaks=(1,))
