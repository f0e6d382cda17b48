"""A photograph of one's own in; the eyes, and the face framed as the model knows it, out.

The photograph and the change of the face in; the photograph at full size, edited, out.
"""
