"""A trained model, its attribute vectors, a judge and the test images in; one scorecard out.

It says how good reconstructions and samples are, how well vectors tell attributes, and what edits change and leak.
"""
