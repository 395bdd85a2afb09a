"""The tenant's members, by name and address. They are in the platform's database; of other tenants' users nothing is seen."""

from __future__ import annotations

from datetime import datetime

from domain.search.fusion import Hit
from domain.search.query import Found, Query
from jobs.context import JobContext
from tenancy.identity.memberships import find_members


def find(context: JobContext, query: Query, _deadline: datetime) -> Found:
    """The members in whose name or address every word of the question stands, those first whose name begins with the first."""
    words = [word.strip("\"'") for word in query.text.replace("\0", " ").split()]
    rows = find_members(context.tenancy.platform, context.tenant_id, [word for word in words if word], query.wanted)
    return Found(
        [
            Hit(
                id=str(row["id"]),
                canonical_id=f"user:{row['id']}",
                source="users",
                title=row["name"],
                snippet=row["email"],
                url=f"/api/v1/users/{row['id']}",
            )
            for row in rows
        ]
    )
