"""`jvae explore`: a page on this machine, with a slider for every attribute."""

import os
import sys
import webbrowser
from pathlib import Path

from jvae.cli import vectors as estimate
from jvae.cli.annotated import Maybe
from jvae.cli.flags import Run, Trained, VectorFile
from jvae.data.faces import crop_of, open_store
from jvae.evaluate.provenance import warn_of_teacher
from jvae.explore.app import App
from jvae.explore.server import address, open_server
from jvae.explore.studio import Studio
from jvae.judge.judge import Judge
from jvae.latent.vectors import AttributeVectors
from jvae.trained import load_vectors, vectors_file


def main(
    run: Run,
    data: Maybe[Path] = None,
    judge: Maybe[Path] = None,
    file: VectorFile = VectorFile(),
    port: Maybe[int] = None,
    browser: bool = True,
) -> None:
    """Opens a page on which faces are moved by sliders, morphed and compared; it stays on this machine.

    Ends with Ctrl-C. From another machine: ssh -L 8000:127.0.0.1:PORT, with the port that is printed.

    Args:
      data: packed store of faces to choose from; without, photographs and samples are edited.
      judge: file or run directory of a judge, whose probabilities stand beside the sliders instead of the vectors' own.
      port: port to listen at (default: a free one).
      browser: open the page in a browser.
    """
    model = run.load()
    store = open_store(data, model.image_size, model.data) if data else None
    path = file.vectors or vectors_file(run.run)
    known = load_vectors(run.run, model, path) if file.vectors or path.exists() else None
    crop = crop_of(model.config, model.data, data)
    judging = Judge.load(judge, mesh=model.mesh) if judge else None
    if judging is not None:
        judging.warn_unless_cut_alike(model)
        warn_of_teacher(model, judging, known.learned if known else None)
    studio = Studio(run.run, model, known, store, judging, crop)
    labelled = store is not None and bool(store.attribute_names)

    def make() -> AttributeVectors:
        assert data is not None
        estimate.main(Trained(run.run, data))
        return load_vectors(run.run, model)

    app = App(studio, data, make if labelled else None, file.vectors)
    with open_server(app, port) as server:
        if known is None:
            way = "the page offers to make them" if labelled else "`jvae vectors` makes them, of a labelled store"
            print(f"{run.run} has no attribute vectors, so there are no sliders: {way}")
        studio.warm()
        print(f"{run.run} is at {address(server)} until Ctrl-C", flush=True)
        if browser and not _open(address(server)):
            print("there is no display here: open that address in a browser, from elsewhere by ssh -L", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("closed")


def _open(url: str) -> bool:
    """Opens a page in a browser that has a window; whether there is one."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False  # where webbrowser would take one that fills the terminal
    return webbrowser.open(url)
