"""A mail server whose answers, silences and hang-ups a test can choose."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

Step = Literal["ehlo", "mail", "rcpt", "data"]


class _Released:
    """Wakes the server's loop from the test's thread."""

    def __init__(self) -> None:
        self._stop = False

    def set(self) -> None:
        self._stop = True

    async def wait(self) -> None:
        while not self._stop:
            await asyncio.sleep(0.02)


class SmtpDouble:
    """`script[step]` is an SMTP answer, `hang` or `drop`; a step without one succeeds."""

    def __init__(self, scheme: str = "smtp") -> None:
        self.scheme = scheme
        self.port = 0
        self.script: dict[Step, str] = {}
        self.received: list[Envelope] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.released = _Released()

    async def _act(self, server: Any, step: Step, normally: str) -> str:
        action = self.script.get(step, normally)
        if action == "hang":
            await self.released.wait()
            return "421 gone"
        if action == "drop":
            server.transport.abort()
            return "421 gone"
        return action

    async def handle_MAIL(
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return await self._act(server, "mail", "250 OK")

    async def handle_RCPT(
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return await self._act(server, "rcpt", "250 OK")

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:
        answer = await self._act(server, "data", "250 2.0.0 OK: queued as 4711")
        self.received.append(envelope)
        return answer

    def login(self, server: Any, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"p@ss", handled=False)
