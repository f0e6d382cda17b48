"""Faces in (rendered, a CelebA folder or zip, TFDS); a packed store of uint8 images, and device chunks of it, out."""
