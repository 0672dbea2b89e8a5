"""Alarms and events in a database, within limits of age and number."""
