"""`jvae export`: a trained run as files that others open without jvae."""

from pathlib import Path
from typing import Literal

from jvae.cli.annotated import Maybe
from jvae.cli.flags import Kinds, Run, VectorFile
from jvae.cli.scorecard import choose_kinds
from jvae.export import write
from jvae.export.bundle import read_bundle


def main(
    run: Run,
    to: Path,
    format: Literal["hub", "onnx", "stablehlo", "web"],
    weights: Maybe[Literal["float32", "float16"]] = None,
    kinds: Kinds = Kinds(),
    file: VectorFile = VectorFile(),
) -> None:
    """Writes a run's best model and its attribute vectors as files that others open: a directory, whole or not at all.

    hub: weights in safetensors, vectors of all kinds and a model card, for a model hub and for `jvae.load`. onnx: the
    encoder, the decoder and edits as ONNX graphs, checked in onnxruntime. stablehlo: the same as programs for the CPU,
    CUDA and TPU. web: a static page with sliders, which runs in the browser alone.

    Args:
      to: directory to make.
      format: what to write.
      weights: how ONNX graphs store weights: as float32, or as float16, which takes half the room; either way they are
        computed with as float32 (default: float16 for web, otherwise float32).
    """
    write.check_place(to)
    write.check_weights(format, weights)
    bundle = read_bundle(run.run, file.vectors, kinds.find(), lambda known: choose_kinds(known, None, None))
    for line in write.export(bundle, to, format, weights):
        print(line)
    print(f"wrote {to}")
