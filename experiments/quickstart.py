"""The whole job on rendered faces, in minutes on two cores: what `make demo` runs.

    python experiments/quickstart.py

Faces are rendered and packed, a VAE is trained, all attribute vectors are estimated, and the pictures are drawn.
A second call goes on where the first one stopped.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import apply_vector
import attribute_vectors
import morph
import pack
import reconstruct
import sample
import train

from jvae import cli
from jvae.data.packed import PackedStore
from jvae.errors import InputError


def main(faces: int = 20_000, steps: int | None = None, seed: int = 0, out: Path = Path("runs/demo")) -> None:
    """Renders faces, trains a VAE on them, estimates the attribute vectors, and draws the pictures.

    Args:
      faces: how many to render.
      steps: of training; by default those of the preset demo.
      seed: of the faces and of the training.
      out: run directory; the faces go beside it.
    """
    data, figures = out.with_name(f"{out.name}-faces"), out / "figures"
    times: dict[str, float] = {}

    @contextlib.contextmanager
    def stage(name: str) -> Iterator[None]:
        print(f"-- {name}", flush=True)
        start = time.perf_counter()
        yield
        times[name] = time.perf_counter() - start

    with stage("render and pack"):
        if not data.exists():
            pack.main("rendered", data, count=faces, seed=seed)
        store = PackedStore.open(data)
        if len(store) != faces:
            raise InputError(f"{data} holds {len(store)} faces, not {faces}: give another --out")
    with stage("train"):
        train.main(data, out, preset="demo", steps=steps, seed=seed)
    with stage("attribute vectors"):
        attribute_vectors.main(out, data)
    with stage("pictures"):
        reconstruct.main(out, data)
        sample.main(out)
        test = store.indices("test")
        man = store.attrs[test, store.attribute("Male")]
        start, end = (store.image_ids[test[who]][0] for who in (~man, man))
        morph.main(out, data, start=start, end=end, movie=figures / "morph.gif")
        for attribute in ("Eyeglasses", "Smiling"):
            apply_vector.main(out, data, attribute)

    print("-- done")
    for name, seconds in (times | {"in all": sum(times.values())}).items():
        print(f"{name:18s}{seconds:6.1f} s")
    print(f"the pictures are in {figures}")


if __name__ == "__main__":
    cli.run(main)
