"""`python -m foodkd`: the command line."""

from foodkd.cli import main

main()
