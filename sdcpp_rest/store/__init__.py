"""The only room that touches the database. Everything above asks it for jobs and settings in the words of core."""
