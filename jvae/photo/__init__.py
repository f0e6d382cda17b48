"""A photograph of one's own in; the face framed as the model knows it, and the edited photograph, out."""
