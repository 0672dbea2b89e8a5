"""The agent's control socket, and what viewers share of it."""
