"""What is exported in; a static page that runs the model in the browser alone, out."""

import base64
import hashlib
import importlib.resources
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from jvae.data.decode import crop_box
from jvae.errors import InputError
from jvae.export.bundle import Bundle, directions, faces, licence, prior_of
from jvae.export.onnx_files import write_onnx
from jvae.io.files import replacing
from jvae.latent.groups import grouped
from jvae.latent.vectors import AttributeVectors
from jvae.photo.frame import HEIGHT, WIDTH

# The package of npm, and the SHA-512 of its archive; raise both together, and look at the page.
RUNTIME = "onnxruntime-web"
VERSION = "1.30.0"
DIGEST = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
TAKEN = {"ort.wasm.bundle.min.mjs": "ort.wasm.bundle.min.js", "ort-wasm-simd-threaded.wasm": ""}  # in dist/ → name here
FACES = 8  # sampled ones, that the page begins with


def write_web(folder: Path, bundle: Bundle, *, half: bool) -> list[str]:
    """Writes the page, its model and the runtime into a folder.

    Returns:
      A line on each graph, and one on the whole.

    Raises:
      InputError: there are no vectors, npm is not there or gives no runtime, or see `write_onnx`.
    """
    if bundle.vectors is None:
        raise InputError(
            f"{bundle.name} has no attribute vectors, and the page's sliders are made of them: estimate them with "
            "`jvae vectors --run … --data …`"
        )
    (folder / "ort").mkdir()
    unpack_runtime(fetch_runtime(), folder / "ort")
    lines = write_onnx(folder, bundle, half=half, only=("encoder", "decoder"))
    for file in (importlib.resources.files("jvae.export") / "page").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "meta.json").write_text(json.dumps(describe(bundle)), encoding="utf-8")
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return [*lines, f"{total / 1e6:.1f} MB in all: `python -m http.server` in the folder shows the page"]


def describe(bundle: Bundle) -> dict[str, Any]:
    """What the page knows of the model: arrays as base64 of float32."""
    assert bundle.vectors is not None
    model, names = bundle.model, bundle.vectors.table().index.tolist()  # the clearest first
    left, top, right, bottom = crop_box(WIDTH, HEIGHT, model.crop or "center")
    prior = prior_of(bundle)
    kinds = [str(known.kind) for known in bundle.kinds]
    better = not bundle.named and kinds[0] == "difference" and "regression" in kinds
    return {
        "title": bundle.name,
        "about": f"A variational autoencoder of {model.image_size}×{model.image_size} pixels, trained on "
        f"{bundle.source}. {licence(bundle.source)[1]} It runs in this page alone: no photograph leaves your machine. "
        "The faces above are drawn by the model and show nobody. An edit changes more than it says, see the README.",
        "size": model.image_size,
        "d": model.latent_dim,
        "aspect": (right - left) / (bottom - top),
        "eyes": bundle.eyes,
        "attributes": names,
        "groups": [{"title": title, "names": members} for title, members in grouped(names).items()],
        "kinds": [_kind(known, names) for known in bundle.kinds],
        "start": kinds.index("regression") if better else 0,
        "faces": [_floats(z) for z in faces(bundle, FACES)],
        "prior": {"mean": _floats(prior.means[0]), "root": _floats(prior.roots[0])},
    }


def _kind(known: AttributeVectors, names: list[str]) -> dict[str, str]:
    """Vectors of one kind for the attributes of these names, NaN for those that have none."""
    rows = [names.index(name) for name in known.names if name in names]
    there = [name for name in known.names if name in names]
    steps = np.full((2, len(names), len(known.totals.z)), np.nan)
    lines = np.full((2, len(names)), np.nan)
    steps[0, rows] = directions(known)[[known.names.index(name) for name in there]]
    steps[1, rows] = [known[name].unit for name in there]
    lines[:, rows] = np.transpose([(known[name].slope, known[name].intercept) for name in there])
    found = {"steps": steps[0], "units": steps[1], "slope": lines[0], "intercept": lines[1]}
    return {"name": str(known.kind)} | {key: _floats(value) for key, value in found.items()}


def _floats(values: np.ndarray) -> str:
    return base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()


def fetch_runtime() -> Path:
    """The archive of the browser's runtime, which npm fetches once into the user's cache folder.

    Raises:
      InputError: npm is not there, or gives no archive, or another one.
    """
    name = f"{RUNTIME}-{VERSION}.tgz"
    path = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "jvae" / name
    if path.is_file() and _digest(path) == DIGEST:
        return path
    if not (npm := shutil.which("npm")):
        raise InputError(f"the page needs {RUNTIME}, which npm fetches, and there is no npm: install Node.js")
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run(
            [npm, "pack", f"{RUNTIME}@{VERSION}", "--silent"], cwd=place, capture_output=True, text=True, check=False
        )
        found = Path(place) / name
        if done.returncode or not found.is_file():
            said = " ".join((done.stderr or done.stdout).split()) or "it says nothing"
            raise InputError(f"npm gives no {RUNTIME} {VERSION} ({said}): see that it reaches its registry")
        if _digest(found) != DIGEST:
            raise InputError(f"the {name} that npm gives is not the one that jvae knows: see where npm has it from")
        with replacing(path) as part:
            shutil.copyfile(found, part)
    return path


def _digest(path: Path) -> str:
    return base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def unpack_runtime(archive: Path, folder: Path) -> None:
    """Copies what the page needs out of the runtime's archive, by names whose type every server knows."""
    with tarfile.open(archive) as packed:
        for name, ours in TAKEN.items():
            file = packed.extractfile(f"package/dist/{name}")
            assert file is not None
            (folder / (ours or name)).write_bytes(file.read())
