"""The documents for subscribers, generated from the payload models.

`python -m agent.tools.message_docs` writes them; `python -m agent.tools.message_docs --check` lists those that are out
of date.
"""

from agent.tools.message_docs.documents import DIRECTORY, main

__all__ = ["DIRECTORY", "main"]
