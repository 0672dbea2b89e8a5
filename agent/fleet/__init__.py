"""The page for many agents: a subscriber of its own, which knows them only by what they publish to a broker.

- `broker/`: the topic tree and the connection; the latest document of each topic, within limits;
- `cameras/`: from documents to one row for each camera, and what is wrong with it;
- `history/`: alarms and events in a database, within limits of age and number;
- `web/`: what a browser may ask for; server, accounts and sessions are those of `agent.page`;
- `static/`: the page itself; `translations/`: its texts beside those of `agent.page`.

Its files load Starlette, uvicorn, argon2-cffi and SQLAlchemy, the extra `fleet`.
"""
