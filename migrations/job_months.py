"""The parts of the jobs table, as migrations write them. Frozen once released: later changes are new functions.

`jobs_live` holds what is still to be done, `jobs_finished` the rest, by the month of submission: ids are UUIDv7, whose first
48 bits are milliseconds since 1970 (RFC 9562), so a month is a range of ids. The two functions that make and drop months
belong to the owner and run with the owner's rights, take no arguments, and are all that the engine's account may do to tables.
"""

from __future__ import annotations

from alembic import op

LIVE_SETTINGS = (
    "fillfactor = 70, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0.02,"
    " autovacuum_analyze_threshold = 1000, autovacuum_analyze_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0,"
    " vacuum_truncate = false"
)
"""A row of a live job is rewritten several times and then leaves: room in each page for it, and a vacuum that keeps up.

It keeps the pages of a queue that ran empty, because giving them back locks out everyone else."""

COUNTER_SETTINGS = "fillfactor = 70, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0"
"""For tables of a few rows that are updated each second."""

_SECURE = "SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '300ms'"
"""Nobody waits longer than that for a month to be made or dropped; the next hour tries again."""

_FLOOR = """
CREATE FUNCTION job_id_floor(moment timestamp) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$
"""

# Rows of the new month may stand in the default partition already, if the platform stood still for months: they move.
_MAKE = f"""
CREATE FUNCTION make_job_months() RETURNS SETOF text LANGUAGE plpgsql {_SECURE} AS $$
DECLARE
    month timestamp;
    part text;
    lowest uuid;
    above uuid;
    names text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('nexus job months'));
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO names FROM pg_attribute
     WHERE attrelid = 'public.jobs'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
    FOR ahead IN 0..2 LOOP
        month := date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ahead);
        part := 'jobs_finished_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass('public.' || part) IS NOT NULL;
        lowest := public.job_id_floor(month);
        above := public.job_id_floor(month + interval '1 month');
        LOCK TABLE public.jobs_finished_default IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('CREATE TABLE public.%I (LIKE public.jobs_finished INCLUDING DEFAULTS INCLUDING GENERATED'
                       ' INCLUDING CONSTRAINTS INCLUDING STORAGE)', part);
        EXECUTE format('WITH moved AS (DELETE FROM public.jobs_finished_default WHERE id >= %L AND id < %L RETURNING %s)'
                       ' INSERT INTO public.%I (%s) SELECT * FROM moved', lowest, above, names, part, names);
        EXECUTE format('ALTER TABLE public.jobs_finished ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                       part, lowest, above);
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', part);
        RETURN NEXT part;
    END LOOP;
END $$
"""

# A job submitted long ago may finish at any moment, so emptiness is looked at again under the lock.
_DROP = f"""
CREATE FUNCTION drop_job_months() RETURNS SETOF text LANGUAGE plpgsql {_SECURE} AS $$
DECLARE
    part text;
    kept boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('nexus job months'));
    DELETE FROM public.jobs_finished_default WHERE expires_at < now();
    FOR part IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                 WHERE i.inhparent = 'public.jobs_finished'::regclass AND c.relname ~ '^jobs_finished_[0-9]{{4}}_[0-9]{{2}}$'
                   AND c.relname < 'jobs_finished_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM') ORDER BY c.relname LOOP
        FOR look IN 1..2 LOOP
            EXECUTE format('SELECT EXISTS (SELECT FROM public.%I WHERE expires_at > now())'
                           ' OR EXISTS (SELECT FROM public.%I WHERE expires_at IS NULL)', part, part) INTO kept;
            EXIT WHEN kept OR look = 2;
            LOCK TABLE ONLY public.jobs_finished IN ACCESS EXCLUSIVE MODE;
            EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', part);
        END LOOP;
        CONTINUE WHEN kept;
        EXECUTE format('DROP TABLE public.%I', part);
        RETURN NEXT part;
    END LOOP;
END $$
"""


def part_jobs() -> None:
    """Make the parts of `jobs`, but no month yet, and their settings."""
    op.execute("CREATE TABLE jobs_live PARTITION OF jobs DEFAULT")
    op.execute(f"ALTER TABLE jobs_live SET ({LIVE_SETTINGS})")
    op.execute(
        "CREATE TABLE jobs_finished PARTITION OF jobs FOR VALUES IN ('succeeded', 'failed', 'cancelled')"
        " PARTITION BY RANGE (id)"
    )
    # Lets the planner leave the finished months out of a statement that names another stage.
    op.execute("ALTER TABLE jobs_finished ADD CONSTRAINT ck_jobs_finished_stage CHECK (stage = 'finished')")
    op.execute("CREATE TABLE jobs_finished_default PARTITION OF jobs_finished DEFAULT")
    for column in ("payload_sealed", "result_sealed", "error_sealed", "checkpoint_sealed"):
        # Sealed bytes do not compress.
        op.execute(f"ALTER TABLE jobs ALTER COLUMN {column} SET STORAGE EXTERNAL")
    for statement in (_FLOOR, _MAKE, _DROP):
        op.execute(statement)


def guard_parts() -> None:
    """Make the first months. No account reaches a part but through `jobs`, whose policies bind it; the engine turns months.

    A part has row-level security and no policy, so that a grant made by mistake shows no row. It is not forced: the owner,
    who makes and drops months, sees all.
    """
    for part in ("jobs_live", "jobs_finished", "jobs_finished_default"):
        op.execute(f"ALTER TABLE {part} ENABLE ROW LEVEL SECURITY")
    op.execute("REVOKE ALL ON jobs_live, jobs_finished, jobs_finished_default FROM nexus_web, nexus_engine")
    op.execute("REVOKE ALL ON FUNCTION make_job_months(), drop_job_months() FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION make_job_months(), drop_job_months() TO nexus_engine")
    op.execute("SELECT make_job_months()")
