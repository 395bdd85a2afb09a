"""The tenant's own searchable documents, and what is known of each so that searches find it: its words and its vector."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pgvector.sqlalchemy import Vector
from sqlalchemy import (
    Boolean,
    Computed,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, REGCONFIG, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from domain.search.vectors import INDEXED_DIMENSIONS
from models.base import Created, Owned, TenantBase

CONTENT = "convert_to(d.title || E'\\n\\n' || d.body, 'UTF8')"
"""SQL for the bytes of a document `d` that are hashed to tell whether it has to be embedded again."""

MARK_DUE = text(
    f"""
INSERT INTO document_embeddings (tenant_id, document_id, wanted_hash, due_at)
SELECT d.tenant_id, d.id, sha256({CONTENT}), now() FROM documents d WHERE d.tenant_id = :tenant AND d.id = ANY(:ids)
 ORDER BY d.id
ON CONFLICT (tenant_id, document_id) DO UPDATE
   SET wanted_hash = excluded.wanted_hash, due_at = now(), claimed_by = NULL, error = NULL
 WHERE document_embeddings.wanted_hash <> excluded.wanted_hash OR document_embeddings.error IS NOT NULL
    OR document_embeddings.generation IS DISTINCT FROM :generation
       AND (document_embeddings.due_at IS NULL OR document_embeddings.claimed_by IS NOT NULL)
RETURNING document_id
"""
)
"""Marks those of the tenant's documents `ids` as due whose vector is not of their text, or of another generation of its indexing."""


class Document(Owned, Created, TenantBase):
    """`external_id` is the tenant's own name for it: putting the same one again replaces the document.

    `attributes` is what the API calls its metadata, a name that SQLAlchemy keeps for itself.
    """

    __tablename__ = "documents"
    __table_args__ = (
        UniqueConstraint("tenant_id", "external_id"),
        Index("ix_documents_language", "tenant_id", "language"),
    )

    external_id: Mapped[str]
    title: Mapped[str]
    body: Mapped[str]
    url: Mapped[str | None]
    language: Mapped[str] = mapped_column(REGCONFIG, server_default="simple")
    attributes: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default=text("'{}'::jsonb"))
    version: Mapped[int] = mapped_column(server_default="1")
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    search: Mapped[Any] = mapped_column(
        TSVECTOR,
        Computed(
            "setweight(to_tsvector(language, title), 'A') || setweight(to_tsvector(language, body), 'B')",
            persisted=True,
        ),
        deferred=True,
    )


class DocumentWord(TenantBase):
    """That a word stands in a document: an inverted index of our own, kept by triggers on `documents`.

    A GIN index is of no use here: under row-level security PostgreSQL uses an index only for operators that are leakproof,
    and `@@` is not. Those of this key are. The order of the key brings documents with the word in their title first.
    """

    __tablename__ = "document_words"
    __table_args__ = {"info": {"derived": True}}

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    word: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    in_title: Mapped[bool] = mapped_column(Boolean, primary_key=True)
    document_id: Mapped[UUID] = mapped_column(primary_key=True)


class DocumentEmbedding(TenantBase):
    """A document's vector, and the text that it should be of.

    `wanted_hash` is of the document's text as it is, `content_hash` of the text that was embedded, by `model`, while the
    tenant's indexing was of that `generation`. With `due_at` the document waits to be embedded, from then on; the job
    `claimed_by` is at it. `error` is why it was given up.
    """

    __tablename__ = "document_embeddings"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "document_id"], ["documents.tenant_id", "documents.id"], ondelete="CASCADE"),
        Index("ix_document_embeddings_due", "tenant_id", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        *(
            Index(
                f"ix_document_embeddings_{size}",
                literal_column(f"((embedding)::vector({size}))").label("vector"),
                postgresql_using="hnsw",
                postgresql_ops={"vector": "vector_cosine_ops"},
                postgresql_where=text(f"dimensions = {size}"),
            )
            for size in INDEXED_DIMENSIONS
        ),
    )  # fmt: skip

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    document_id: Mapped[UUID] = mapped_column(primary_key=True)
    wanted_hash: Mapped[bytes]
    content_hash: Mapped[bytes | None]
    generation: Mapped[int | None]
    model: Mapped[str | None]
    dimensions: Mapped[int | None]
    embedding: Mapped[Any] = mapped_column(Vector, nullable=True, deferred=True)
    due_at: Mapped[datetime | None]
    claimed_by: Mapped[UUID | None]
    error: Mapped[str | None]


class SearchIndexing(TenantBase):
    """How the tenant's documents are indexed. Another `generation` means that vectors made before are of no use."""

    __tablename__ = "search_indexing"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    language: Mapped[str] = mapped_column(REGCONFIG, server_default="simple")
    embeds: Mapped[bool] = mapped_column(server_default=text("false"))
    model: Mapped[str | None]
    dimensions: Mapped[int | None]
    generation: Mapped[int] = mapped_column(server_default="1")
    version: Mapped[int] = mapped_column(server_default="1")
