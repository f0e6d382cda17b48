"""Pictures of any source in; a packed store of uint8 images with their labels out, each decoded once.

A store in; chunks of batches on the device, in an order that seed and step alone decide, out.
"""
