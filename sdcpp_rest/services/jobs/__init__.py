"""The queue, running jobs, the event bus and the recycle bin; must not know models or the engine."""
