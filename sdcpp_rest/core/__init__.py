"""Pure words: jobs, parameters, load specs, events, families, prompts; must not know files, threads or a dialect."""
