"""A run, its vectors and a store in; a page on this machine, on which faces are moved, morphed and looked at, out.

The page keeps what was set and sends it along with whatever it asks, so that the server knows of no page.
"""
