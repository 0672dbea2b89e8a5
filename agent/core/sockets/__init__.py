"""Servers and sockets that many or slow clients cannot exhaust. Import its modules."""
