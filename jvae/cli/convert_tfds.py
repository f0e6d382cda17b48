"""`jvae convert-tfds`: a TFDS build of celeb_a, made fit for random access."""

from pathlib import Path

from jvae.data.sources.tfds import CelebATFDS, convert


def main(path: Path) -> None:
    """Adds ArrayRecord files to a celeb_a that TFDS prepared in its default format, without TensorFlow.

    Args:
      path: data_dir in which TFDS prepared it, or the directory of the data set.
    """
    directory = convert(path)
    print(f"{directory}: {len(CelebATFDS(directory))} images; pack them with jvae pack tfds {directory}")
