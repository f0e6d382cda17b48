"""`python -m jvae` is the command `jvae`."""

from jvae.cli.main import main

if __name__ == "__main__":
    main()
