"""What a command prints, and what Ctrl-C does to it. Import its modules: `interrupts` must load before all others."""
