"""Accounts, sessions and roles, and which requests are admitted."""
