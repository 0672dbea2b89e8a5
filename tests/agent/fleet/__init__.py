"""The page for many agents, with a real broker, real agents and a real database."""
