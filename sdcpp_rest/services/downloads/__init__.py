"""Model files from the internet: sources, resumed transfers, the lane of jobs that does it; must not know the engine.

Nothing outside this room opens a connection for a client.
"""
