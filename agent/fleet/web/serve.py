"""The process: connects to the broker, opens the history, serves the page, and ends on SIGTERM."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from starlette.applications import Starlette

from agent.fleet.broker.documents import Documents
from agent.fleet.broker.faults import Faults
from agent.fleet.broker.subscriber import Subscriber
from agent.fleet.broker.topic_tree import TopicTree
from agent.fleet.history.database import Database
from agent.fleet.history.writer import HistoryWriter, LoginsInHistory
from agent.fleet.intake import Intake
from agent.fleet.options import FleetOptions
from agent.fleet.web.api import ROUTES, FleetState
from agent.fleet.web.feed import FleetFeed
from agent.page.options import ServerOptions
from agent.page.server.application import guarded
from agent.page.server.files import PageFiles
from agent.page.server.process import serve
from agent.page.server.state import Access


def serve_fleet(options: FleetOptions) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises Permanent and Temporary where it cannot start."""
    broker, tree = options.broker, TopicTree(options.topic_template, options.camera_topic_template)
    database = Database(options.database)
    try:
        writer = HistoryWriter(database, days=options.days, most=options.max_alarms)
        documents, faults = Documents(options.max_cameras), Faults()
        intake = Intake(tree, documents, faults, writer.add)
        subscriber = Subscriber(broker, tree, options.client_id, intake.take)
        feed = FleetFeed(broker.name, subscriber, intake, documents, faults, database, writer)
        serve(options, _application(options, feed, subscriber, writer, FleetState(feed, documents, database)))
    finally:
        database.close()


def _application(
    options: ServerOptions, feed: FleetFeed, subscriber: Subscriber, writer: HistoryWriter, state: FleetState
) -> Starlette:
    @asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        writer.start()
        subscriber.start()
        task = asyncio.create_task(feed.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await asyncio.to_thread(subscriber.stop)
            await asyncio.to_thread(writer.stop)

    files = PageFiles(Path(__file__).parents[1])
    application = guarded(Access.of(options, LoginsInHistory(writer)), ROUTES, files, lifespan=running)
    application.state.fleet = state
    return application
