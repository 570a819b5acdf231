"""The command line as a module: ``python -m derby``."""

from derby import main

main()
