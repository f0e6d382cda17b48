"""Images in, posteriors out; latents in, images out: networks by name, which `registry` lists and `model` describes.

Images and reconstructions in; the error, the KL divergence and their weights out.
"""
