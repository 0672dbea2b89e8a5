"""The page for people at the line: a process of its own, which knows the agent only by its control socket.

- `server/`: the process, its connections, requests and files;
- `security/`: accounts, sessions, roles, and which requests are admitted;
- `link/`: the agent's control socket, and what viewers share of it;
- `training/`: uploaded images, and the process that trains on them;
- `api/`: what a browser may ask for, and the role that each needs;
- `static/`: the page itself, plain JavaScript without a build step; `translations/`: its texts, a file per language.

Its files load Starlette, uvicorn and argon2-cffi, the extra `page`.
"""
