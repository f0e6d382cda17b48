"""The machine's devices and processes in; a mesh, random numbers by index, and compiled programs that are kept, out.

It decides where and how work is done, never what.
"""
