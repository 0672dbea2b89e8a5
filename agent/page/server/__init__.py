"""The process of the page: its connections, requests and files."""
