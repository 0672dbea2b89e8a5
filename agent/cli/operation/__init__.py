"""Commands for an agent in operation: start it, check its device, ask it, follow its alarms. Import its modules."""
