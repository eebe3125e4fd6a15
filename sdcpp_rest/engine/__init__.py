"""The process wall: protocol, client, launchers, supervisor, worker, runners; must not know HTTP or the database."""
