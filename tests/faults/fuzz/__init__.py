"""A small fuzzer that looks at what its inputs cover, and the readers that it feeds.

It needs nothing that is not there for the tests anyway, and does the same each time for a seed.
"""
