"""Devices, processes and compiled programs: where and how the work is done, never what it is."""
