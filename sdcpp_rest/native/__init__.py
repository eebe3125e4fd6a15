"""The only room with ctypes and C++: owning classes over the raw structs of the library, and the build that makes it.

Knows nothing of jobs, settings or models' names. Nothing here loads the library on import: ``open_library()`` does, and
only the engine process and a few commands call it.
"""
