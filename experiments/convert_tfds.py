"""Converts a TFDS build for random access: python -m experiments.convert_tfds --path ~/tensorflow_datasets"""

from pathlib import Path

from jvae.cli import run
from jvae.data.sources.tfds import CelebATFDS, convert


def main(path: Path) -> None:
    """Adds ArrayRecord files to a celeb_a that TFDS prepared in its default format, without TensorFlow.

    Args:
      path: the data_dir that TFDS prepared it in, or the directory of the data set.
    """
    directory = convert(path)
    print(f"{directory}: {len(CelebATFDS(directory))} images; pack them with --source tfds --path {directory}")


if __name__ == "__main__":
    run(main)
