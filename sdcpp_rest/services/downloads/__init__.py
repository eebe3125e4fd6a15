"""Model files from the internet: where they come from, how they are fetched, the lane of jobs that does it.

Nothing here knows the engine; nothing outside opens a connection for a client.
"""
