"""Webhooks: HTTPS POST of alarms and results, signed.

`signature.py` signs, `client.py` sends one message over a connection that is kept, `output.py` makes the messages.
"""
