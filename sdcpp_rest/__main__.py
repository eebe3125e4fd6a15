"""`python -m sdcpp_rest`."""

from sdcpp_rest.cli import main

main()
