"""The only SQL: jobs, settings, hashes, history in SQLite; must not know what a job means."""
