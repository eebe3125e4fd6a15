"""The only ctypes and C++: the pinned library, its build, the guard around its calls; must not know jobs, folders or
limits.

Nothing here loads the library on import: ``open_library()`` does, and only the engine process and a few commands call
it.
"""
