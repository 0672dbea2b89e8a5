"""Who may do what: an encrypted channel with a trusted certificate, then a person's name and password.

asyncua checks the certificate that a client names in its request for a session. This is not enough: a client that
names none is let in. Here the certificate of the channel itself is checked before each login, and a channel without
encryption serves for nothing but the list of endpoints.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import SimpleRoleRuleset, User, UserRole
from asyncua.crypto.uacrypto import x509_from_der
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession

from agent.core.errors import Permanent
from agent.core.printable import printable
from agent.core.roles import Role
from agent.opcua.trust_list import TrustList
from agent.page.security.accounts import Accounts
from agent.page.security.login_limit import LoginLimit

log = logging.getLogger(__name__)

# A plant has a handful of clients; more connections are an attack or an error.
MAX_CONNECTIONS = 24
MAX_SUBSCRIPTIONS = 100
MAX_QUEUE = 1000
MIN_PUBLISHING_MS = 10.0
ACTIVATION_SECONDS = 10.0


@dataclass
class Person(User):  # type: ignore[misc]
    """A client that has logged in."""

    may: Role = Role.VIEW


CALLER: ContextVar[Person | None] = ContextVar("caller", default=None)
"""Who calls the method that is being carried out."""


class Logins:
    """Checks names and passwords against the accounts; called by asyncua."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._limit = LoginLimit()

    def get_user(
        self,
        iserver: InternalServer,
        username: str | None = None,
        password: str | None = None,
        certificate: Any = None,
    ) -> Person | None:
        """The person, or None where name or password are wrong."""
        del iserver, certificate
        if not isinstance(username, str) or not isinstance(password, str | bytes):
            return None
        text = password.decode("utf-8", "replace") if isinstance(password, bytes) else password
        if self._limit.wait_seconds(username) > 0:
            return None
        try:
            account = self._accounts.check(username, text)
        except Permanent as error:
            log.warning("%s", error)
            return None
        if account is None:
            self._limit.failed(username)
            log.warning("OPC UA login of %s failed", printable(username)[:40])
            return None
        self._limit.succeeded(username)
        log.info("OPC UA login of %s", account.name)
        return Person(UserRole.User, account.name, account.role)


class TrustedSession(InternalSession):  # type: ignore[misc]
    """A session that only a channel with a trusted certificate can activate, and always the same one."""

    trust: TrustList
    certificate: bytes | None = None

    def activate_session(self, params: Any, peer_certificate: bytes | None) -> Any:
        """Called by asyncua with the certificate of the channel; None where the channel is not encrypted."""
        if not peer_certificate or self.certificate not in (None, peer_certificate):
            raise ServiceError(ua.StatusCodes.BadSecurityChecksFailed)
        self.trust.check(x509_from_der(peer_certificate))
        result = super().activate_session(params, peer_certificate)
        self.certificate = peer_certificate
        return result

    async def close_session(self, delete_subs: bool = True) -> None:
        """Whoever logs out may do nothing any more, although the channel stays open."""
        self.user = User(UserRole.Anonymous)
        await super().close_session(delete_subs)

    async def create_subscription(self, params: Any, callback: Any, request_callback: Any = None) -> Any:
        """A client that asks for 0 wants the shortest interval that there is."""
        wanted = params.RequestedPublishingInterval
        params.RequestedPublishingInterval = wanted if wanted >= MIN_PUBLISHING_MS else MIN_PUBLISHING_MS
        return await super().create_subscription(params, callback, request_callback)

    async def call(self, params: Any) -> Any:
        """Call methods, which find the caller in `CALLER`."""
        token = CALLER.set(self.user if isinstance(self.user, Person) else None)
        try:
            return await super().call(params)
        finally:
            CALLER.reset(token)


class TrustedServer(InternalServer):  # type: ignore[misc]
    """Opens sessions of our kind, within limits."""

    def __init__(self, trust: TrustList, logins: Logins) -> None:
        super().__init__(user_manager=logins)
        self._trust = trust
        self.certificate_validator = trust.validate
        self.supported_tokens = (ua.UserNameIdentityToken,)
        self.max_connections = MAX_CONNECTIONS
        self.max_subscriptions = MAX_SUBSCRIPTIONS
        self.max_monitored_item_queue_size = MAX_QUEUE
        self.max_unacked_messages_per_subscription = MAX_QUEUE
        self.max_pending_activation_seconds = ACTIVATION_SECONDS

    def create_session(self, name: str, user: User | None = None, external: bool = False) -> TrustedSession:
        """A new session, for nobody yet."""
        user = user or User(UserRole.Anonymous)
        session = TrustedSession(self, self.aspace, self.subscription_service, name, user=user, external=external)
        session.trust = self._trust
        return session

    def register_server(self, server: Any, conf: Any = None) -> None:
        """This is no discovery server: anybody could name other servers here."""
        raise ServiceError(ua.StatusCodes.BadServiceUnsupported)


class NothingAllowed(SimpleRoleRuleset):  # type: ignore[misc]
    """For a channel without encryption: only what needs no session, which is the list of endpoints."""

    def check_validity(self, user: Any, action_type_id: Any, body: Any) -> bool:
        """Called by asyncua for each request that needs a session."""
        return False


def require(role: Role) -> Person:
    """The caller of a method. Raises PermissionError where he has not this role."""
    caller = CALLER.get()
    if caller is None or caller.may < role:
        raise PermissionError(role.text)
    return caller
