"""`jvae prepare-tfds`: CelebA's files, downloaded by hand, as a TFDS data set."""

from pathlib import Path

from jvae.data.sources.tfds import CelebATFDS, prepare


def main(path: Path, data_dir: Path) -> None:
    """Makes the TFDS data set celeb_a_with_ids from a CelebA folder downloaded by hand, without TensorFlow.

    Args:
      path: folder with img_align_celeba (or its zip) and list_attr_celeba.txt; partition, landmark and identity
        tables are used when they are there.
      data_dir: directory where TFDS keeps data sets.
    """
    directory = prepare(path, data_dir)
    print(f"{directory}: {len(CelebATFDS(directory))} images; pack them with jvae pack tfds {directory}")
