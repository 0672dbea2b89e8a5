"""What a browser may ask for, one file per subject, and the role that each request needs."""

from agent.page.api import alarms, audit, cameras, parts, sessions, setup, training, view

ROUTES = [
    *sessions.ROUTES,
    *cameras.ROUTES,
    *alarms.ROUTES,
    *parts.ROUTES,
    *setup.ROUTES,
    *view.ROUTES,
    *training.ROUTES,
    *audit.ROUTES,
]
"""Every route below `/api`."""

SESSION_ROUTES = sessions.ROUTES
"""Login and logout, which every page has."""

__all__ = ["ROUTES", "SESSION_ROUTES"]
