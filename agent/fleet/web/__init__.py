"""What a browser may ask for; server, accounts and sessions are those of `agent.page`."""
