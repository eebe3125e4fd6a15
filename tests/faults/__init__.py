"""What is measured of the server's reliability: each study does harm in a way of its own and counts what came of it."""
