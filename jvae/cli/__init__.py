"""Words of a command line in; files, and lines on the terminal, out: the command `jvae`, a module a subcommand.

`main` finds the subcommand, `flags` has the groups of flags that several share, `settings` makes a config's flags.
"""
