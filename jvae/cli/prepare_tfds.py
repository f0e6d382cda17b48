"""`jvae prepare-tfds`: CelebA's files, downloaded by hand, as a TFDS data set."""

from pathlib import Path

from jvae.data.sources.celeba import CelebAFolder
from jvae.data.sources.tfds import CelebATFDS


def main(path: Path, data_dir: Path, overwrite: bool = False) -> None:
    """Makes the TFDS data set celeb_a_with_ids from a CelebA folder downloaded by hand, without TensorFlow.

    Args:
      path: folder with img_align_celeba (or its zip) and list_attr_celeba.txt; partition, landmark and identity
        tables are used when they are there.
      data_dir: directory where TFDS keeps data sets.
      overwrite: replace the data set that is there, made from other files.
    """
    from jvae.data.sources.celeba_builder import prepare  # imports TFDS

    print(CelebAFolder(path).message)
    directory = prepare(path, data_dir, overwrite=overwrite)
    print(f"{directory}: {len(CelebATFDS(directory))} images; pack them with jvae pack tfds {directory}")
