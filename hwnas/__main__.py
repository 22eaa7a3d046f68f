"""`python -m hwnas` is `hwnas`."""

from .cli import main

main()
