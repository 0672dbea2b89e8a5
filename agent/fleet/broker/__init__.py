"""The topic tree and the connection; the latest document of each topic, within limits."""
