"""The whole job on rendered faces: render, pack, train, estimate all attribute vectors, draw the pictures.

    make demo        # or: python experiments/quickstart.py

Two to three minutes on two cores. Expect in runs/demo/figures glasses and smiles that appear along a row, and a morph
from a woman to a man. A second call goes on where the first one stopped.
"""

import os
import sys
import time
from pathlib import Path

from jvae.cli import edit, morph, pack, reconstruct, sample, train, vectors
from jvae.cli.flags import Motion, Run, Trained
from jvae.cli.run import run
from jvae.data.packed import PackedStore
from jvae.data.sources.rendered import RenderedFaces, holds_faces_of
from jvae.errors import InputError
from jvae.training.presets import preset


def main(faces: int = 20_000, steps: int | None = None, seed: int = 0, out: Path = Path("runs/demo")) -> None:
    """Renders faces, trains a VAE on them, estimates the attribute vectors, and draws the pictures.

    Args:
      faces: number of faces to render.
      steps: number of training steps; None takes those of the preset demo.
      seed: seed of the faces and of the training.
      out: run directory; the faces go beside it.
    """
    data, began = out.with_name(f"{out.name}-faces"), time.perf_counter()

    def stage(name: str) -> None:
        print(f"-- {time.perf_counter() - began:5.1f} s: {name}", flush=True)

    stage("render and pack")
    if not (there := data.exists()):
        pack.pack_source(RenderedFaces(faces, seed, 64), out=data)
    store = PackedStore.open(data)
    if there and (len(store) != faces or not holds_faces_of(store, seed)):
        raise InputError(f"{data} holds {len(store)} faces, not {faces} of seed {seed}: remove it or give a new --out")
    stage("train")
    train.main(preset("demo").replace(seed=seed, steps=steps), data, out)
    stage("attribute vectors")
    vectors.main(trained := Trained(out, data))
    stage("pictures")
    reconstruct.main(trained)
    sample.main(Run(out), data=data)
    test, male = store.indices("test"), store.attrs[:, store.attribute("Male")]
    pair = (store.image_ids[test[male[test] == side]][0] for side in (False, True))
    morph.main(trained, *pair, motion=Motion(movie=out / "figures" / "morph.gif"))
    for attribute in ("Eyeglasses", "Smiling"):
        edit.main(trained, attribute, data=data)
    page = f"{os.path.relpath(Path(sys.executable).with_name('jvae'))} explore --run {out} --data {data}"
    stage(f"done: pictures are in {out / 'figures'}; a page with a slider for every attribute:\n{page}")


if __name__ == "__main__":
    run(main)
