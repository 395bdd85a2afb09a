"""A client that is signed in to a tenant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func

from domain.ids import new_id
from models.platform import Session as Login
from tenancy.access import Tenancy
from tenancy.scopes import user_scope
from web import tokens


@dataclass(frozen=True, slots=True)
class Caller:
    """A client of the API who is signed in and has selected a tenant."""

    client: FlaskClient
    tenant_id: UUID
    user_id: UUID
    headers: dict[str, str]

    def get(self, path: str, **options: Any) -> Any:
        return self._send("GET", path, options)

    def post(self, path: str, **options: Any) -> Any:
        return self._send("POST", path, options)

    def put(self, path: str, **options: Any) -> Any:
        return self._send("PUT", path, options)

    def delete(self, path: str, **options: Any) -> Any:
        return self._send("DELETE", path, options)

    def _send(self, method: str, path: str, options: dict[str, Any]) -> Any:
        headers = {**self.headers, **options.pop("headers", {})}
        return self.client.open(path, method=method, headers=headers, **options)


def access_token(app: Flask, web_tenancy: Tenancy, user_id: UUID, tenant_id: UUID | None = None) -> str:
    """An access token of a new session, as a login would issue it."""
    session_id = new_id()
    with web_tenancy.platform.session(user_scope(user_id)) as session:
        session.add(
            Login(id=session_id, user_id=user_id, tenant_id=tenant_id, expires_at=func.now() + timedelta(days=1))
        )
    with app.test_request_context():
        return tokens.issue(user_id, session_id, tenant_id)
