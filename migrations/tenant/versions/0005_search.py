"""Search: the words of documents, their vectors, their metadata, and how the tenant has them indexed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import Vector
from sqlalchemy.dialects import postgresql

from migrations.rls import protect, tenant_rows

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INDEXED_DIMENSIONS = (256, 384, 512, 768, 1024, 1536)

_WORDS_OF = (
    "SELECT d.tenant_id, w.lexeme, 'A' = ANY(w.weights), d.id FROM {rows} d CROSS JOIN LATERAL unnest(d.search) w"
)

# Transition tables hold what the whole statement changed, so a thousand documents cost one insert of their words.
_INDEX_WORDS = f"""
CREATE FUNCTION index_document_words() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO document_words (tenant_id, word, in_title, document_id)
        {_WORDS_OF.format(rows="added")} ON CONFLICT DO NOTHING;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM document_words x USING ({_WORDS_OF.format(rows="gone")}) o (tenant_id, word, in_title, document_id)
         WHERE (x.tenant_id, x.word, x.in_title, x.document_id) = (o.tenant_id, o.word, o.in_title, o.document_id);
    ELSE
        DELETE FROM document_words x USING (
            {_WORDS_OF.format(rows="gone")} JOIN added n ON n.tenant_id = d.tenant_id AND n.id = d.id
             WHERE n.search IS DISTINCT FROM d.search) o (tenant_id, word, in_title, document_id)
         WHERE (x.tenant_id, x.word, x.in_title, x.document_id) = (o.tenant_id, o.word, o.in_title, o.document_id);
        INSERT INTO document_words (tenant_id, word, in_title, document_id)
        {_WORDS_OF.format(rows="added")} JOIN gone o ON o.tenant_id = d.tenant_id AND o.id = d.id
         WHERE o.search IS DISTINCT FROM d.search ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$
"""
_TRIGGERS = {
    "added": "INSERT ON documents REFERENCING NEW TABLE AS added",
    "changed": "UPDATE ON documents REFERENCING OLD TABLE AS gone NEW TABLE AS added",
    "gone": "DELETE ON documents REFERENCING OLD TABLE AS gone",
}


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    op.add_column(
        "documents", sa.Column("metadata", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False)
    )
    op.add_column("documents", sa.Column("version", sa.Integer(), server_default="1", nullable=False))
    op.create_index("ix_documents_language", "documents", ["tenant_id", "language"])
    # No account that row-level security binds can use it: `@@` is not leakproof. So it only made writing dearer.
    op.drop_index("ix_documents_search", "documents")
    _words()
    _vectors()
    op.create_table(
        "search_indexing",
        sa.Column("language", postgresql.REGCONFIG(), server_default="simple", nullable=False),
        sa.Column("embeds", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("dimensions", sa.Integer(), nullable=True),
        sa.Column("generation", sa.Integer(), server_default="1", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_search_indexing")),
    )
    for table in ("document_words", "document_embeddings", "search_indexing"):
        protect(table, tenant_rows(table))


def _words() -> None:
    op.create_table(
        "document_words",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("word", sa.Text(collation="C"), nullable=False),
        sa.Column("in_title", sa.Boolean(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "word", "in_title", "document_id", name=op.f("pk_document_words")),
    )
    op.execute(_INDEX_WORDS)
    # The owner sees documents only while row-level security is not forced on it: for this transaction.
    op.execute("ALTER TABLE documents NO FORCE ROW LEVEL SECURITY")
    op.execute(
        "INSERT INTO document_words (tenant_id, word, in_title, document_id) " + _WORDS_OF.format(rows="documents")
    )
    op.execute("ALTER TABLE documents FORCE ROW LEVEL SECURITY")
    for name, after in _TRIGGERS.items():
        op.execute(
            f"CREATE TRIGGER index_words_{name} AFTER {after} FOR EACH STATEMENT EXECUTE FUNCTION index_document_words()"
        )


def _vectors() -> None:
    op.create_table(
        "document_embeddings",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("wanted_hash", sa.LargeBinary(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("dimensions", sa.Integer(), nullable=True),
        sa.Column("embedding", Vector(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_by", sa.Uuid(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "document_id", name=op.f("pk_document_embeddings")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "document_id"], ["documents.tenant_id", "documents.id"],
            name=op.f("fk_document_embeddings_tenant_id_document_id"), ondelete="CASCADE",
        ),
    )  # fmt: skip
    op.create_index(
        "ix_document_embeddings_due", "document_embeddings", ["tenant_id", "due_at"],
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )  # fmt: skip
    for size in INDEXED_DIMENSIONS:
        op.execute(
            f"CREATE INDEX ix_document_embeddings_{size} ON document_embeddings"
            f" USING hnsw ((embedding::vector({size})) vector_cosine_ops) WHERE dimensions = {size}"
        )


def downgrade() -> None:
    for trigger in _TRIGGERS:
        op.execute(f"DROP TRIGGER index_words_{trigger} ON documents")
    op.execute("DROP FUNCTION index_document_words()")
    for table in ("search_indexing", "document_embeddings", "document_words"):
        op.drop_table(table)
    op.create_index("ix_documents_search", "documents", ["search"], postgresql_using="gin")
    op.drop_index("ix_documents_language", "documents")
    op.drop_column("documents", "version")
    op.drop_column("documents", "metadata")
