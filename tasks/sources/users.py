"""The tenant's members, by name and address. They are in the platform's database; of other tenants' users nothing is seen."""

from __future__ import annotations

from datetime import UTC, datetime

from domain.search.fusion import Hit
from domain.search.query import Found, Query, Unanswered
from domain.search.text import MOST_CLAUSES
from jobs.context import JobContext
from tenancy.identity.memberships import find_members


def find(context: JobContext, query: Query, deadline: datetime) -> Found:
    """The members in whose name or address every word of the question stands, those first whose name begins with the first.

    Each word is looked for in each member, in the database that all tenants share: so there are only so many of them.
    """
    words = [word.strip("\"'") for word in query.text.replace("\0", " ").split()]
    asked = list(dict.fromkeys(word for word in words if word))[:MOST_CLAUSES]
    left = (deadline - datetime.now(UTC)).total_seconds()
    if left <= 0:
        raise Unanswered("timeout")
    try:
        rows = find_members(context.tenancy.platform, context.tenant_id, asked, query.wanted, left)
    except TimeoutError:
        raise Unanswered("timeout") from None
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
