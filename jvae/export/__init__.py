"""A trained model and its attribute vectors in; files that others open without jvae, out.

Weights with a card for a model hub, ONNX graphs, StableHLO programs, and a page that runs in a browser.
"""
