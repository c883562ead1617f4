"""`python -m ursa`: the same as the `ursa` command."""

from ursa.cmd.main import main

main()
