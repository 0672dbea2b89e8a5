"""Lines of the log: their form for people and for journald."""
