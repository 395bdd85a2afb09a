"""What may be done to the audit, as migrations write it. Frozen once released: later changes are new functions.

No application role changes or removes an entry or a seal. The API appends and reads; the engine seals. What is past its
time leaves by one function that runs with the owner's rights, from the beginning of a chain only, and never sooner than
after 30 days, whatever it is asked.
"""

from __future__ import annotations

from alembic import op

from migrations.rls import protect, setting

TABLES = ("audit_entries", "audit_unsealed", "audit_seals", "audit_anchors")

_PLATFORM = "'00000000-0000-0000-0000-000000000000'::uuid"
_OPERATOR = "(SELECT current_setting('nexus.operator', true)) = 'on'"
_OWN = f"tenant_id = {setting('tenant_id')}"
_PAST = "interval '30 days'"

_WAIT_FOR_SEAL = """
CREATE FUNCTION wait_for_seal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_unsealed (tenant_id, entry_id) VALUES (NEW.tenant_id, NEW.id);
    RETURN NULL;
END $$
"""

# Seals of one chain are as old as their numbers are low. `first` is the oldest that is there, `last` the youngest to go.
_PRUNE = f"""
CREATE FUNCTION prune_audit(keep interval, most integer) RETURNS TABLE (chain uuid, pruned bigint) LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    cutoff timestamptz := now() - greatest(keep, {_PAST});
    first bigint;
    last bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('nexus audit pruning'));
    FOR chain IN SELECT DISTINCT s.tenant_id FROM public.audit_seals s WHERE s.sealed_at < cutoff LOOP
        SELECT min(s.sequence), coalesce(min(s.sequence) FILTER (WHERE s.sealed_at >= cutoff) - 1, max(s.sequence))
          INTO first, last FROM public.audit_seals s WHERE s.tenant_id = chain;
        last := least(last, first + most - 1);
        CONTINUE WHEN last < first;
        INSERT INTO public.audit_anchors (tenant_id, sequence, hash)
        SELECT s.tenant_id, s.sequence, s.hash FROM public.audit_seals s WHERE s.tenant_id = chain AND s.sequence = last
        ON CONFLICT (tenant_id) DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash, pruned_at = now();
        CONTINUE WHEN NOT FOUND;
        DELETE FROM public.audit_entries e USING public.audit_seals s
         WHERE s.tenant_id = chain AND s.sequence <= last AND e.tenant_id = chain AND e.id = s.entry_id;
        DELETE FROM public.audit_seals s WHERE s.tenant_id = chain AND s.sequence <= last;
        GET DIAGNOSTICS pruned = ROW_COUNT;
        RETURN NEXT;
    END LOOP;
END $$
"""


def append_only() -> None:
    """Policies and grants of the four tables, and the trigger by which no entry is forgotten.

    Anyone may append to the platform's chain, as a failed login must; only operators read it.
    """
    readable = f"{_OWN} OR (tenant_id = {_PLATFORM} AND {_OPERATOR})"
    for table in TABLES:
        protect(
            table,
            f"CREATE POLICY readable ON {table} FOR SELECT TO nexus_web USING ({readable})",
            f"CREATE POLICY engine_rows ON {table} TO nexus_engine USING (true) WITH CHECK (true)",
        )
    for table in ("audit_entries", "audit_unsealed"):
        op.execute(
            f"CREATE POLICY appendable ON {table} FOR INSERT TO nexus_web WITH CHECK ({_OWN} OR tenant_id = {_PLATFORM})"
        )
    op.execute("GRANT SELECT, INSERT ON audit_entries, audit_unsealed TO nexus_web")
    op.execute("GRANT SELECT ON audit_seals, audit_anchors TO nexus_web")
    op.execute("GRANT SELECT, INSERT ON audit_entries, audit_seals TO nexus_engine")
    op.execute("GRANT SELECT, INSERT, DELETE ON audit_unsealed TO nexus_engine")
    op.execute("GRANT SELECT ON audit_anchors TO nexus_engine")
    op.execute(_WAIT_FOR_SEAL)
    op.execute(
        "CREATE TRIGGER wait_for_seal AFTER INSERT ON audit_entries FOR EACH ROW EXECUTE FUNCTION wait_for_seal()"
    )


def let_old_entries_go() -> None:
    """The function that prunes, and what row-level security, which binds the owner too, lets it touch."""
    for table, column in (("audit_entries", "occurred_at"), ("audit_seals", "sealed_at")):
        op.execute(
            f"CREATE POLICY had_its_time ON {table} TO CURRENT_USER USING ({column} < now() - {_PAST}) WITH CHECK (false)"
        )
    op.execute("CREATE POLICY anchoring ON audit_anchors TO CURRENT_USER USING (true) WITH CHECK (true)")
    op.execute(_PRUNE)
    op.execute("REVOKE ALL ON FUNCTION prune_audit(interval, integer) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION prune_audit(interval, integer) TO nexus_engine")
