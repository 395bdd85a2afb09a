"""The statements of a batch's journal. Many rows are one statement: their columns come as arrays."""

from __future__ import annotations

import json
from typing import LiteralString

from domain.notifications.delivery import FORWARD

TAKE_OVER: tuple[LiteralString, ...] = (
    """
INSERT INTO broadcast_batches AS b (tenant_id, id, broadcast_id, token)
VALUES (%(tenant_id)s, %(id)s, %(broadcast_id)s, %(token)s)
ON CONFLICT (tenant_id, id) DO UPDATE SET token = excluded.token
""",
    """
INSERT INTO messages (tenant_id, id, channel, recipient, subject, body_text, notification_id, in_broadcast, recipient_id, category)
SELECT b.tenant_id, f.message_id, x.channel,
       coalesce(CASE x.channel WHEN 'email' THEN r.email WHEN 'sms' THEN r.phone ELSE r.external_id END, ''), '', '', x.id, true,
       f.recipient_id, x.category
  FROM broadcast_batches b
 CROSS JOIN LATERAL unnest(b.recipients, b.messages) AS f (recipient_id, message_id)
  JOIN broadcasts x ON x.tenant_id = b.tenant_id AND x.id = b.broadcast_id
  LEFT JOIN recipients r ON r.tenant_id = b.tenant_id AND r.id = f.recipient_id
 WHERE b.tenant_id = %(tenant_id)s AND b.id = %(id)s
ON CONFLICT DO NOTHING
""",
    """
INSERT INTO message_attempts (tenant_id, id, message_id, number, provider, state, started_at)
SELECT b.tenant_id, gen_random_uuid(), f.message_id,
       1 + coalesce((SELECT max(a.number) FROM message_attempts a WHERE a.tenant_id = b.tenant_id AND a.message_id = f.message_id), 0),
       b.provider, 'calling', b.marked_at
  FROM broadcast_batches b
 CROSS JOIN LATERAL unnest(b.messages) AS f (message_id)
 WHERE b.tenant_id = %(tenant_id)s AND b.id = %(id)s
""",
    """
UPDATE broadcast_batches SET recipients = '{}', messages = '{}' WHERE tenant_id = %(tenant_id)s AND id = %(id)s
""",
)
"""The first of them locks the row, so that a window which is being opened is seen."""

MARK: LiteralString = """
UPDATE broadcast_batches b
   SET provider = %(provider)s, marked_at = now(),
       recipients = CASE WHEN x.state = 'running' THEN %(recipients)s::uuid[] ELSE '{}' END,
       messages = CASE WHEN x.state = 'running' THEN %(messages)s::uuid[] ELSE '{}' END
  FROM broadcasts x
 WHERE b.tenant_id = %(tenant_id)s AND b.id = %(id)s AND b.token = %(token)s
   AND x.tenant_id = b.tenant_id AND x.id = b.broadcast_id
RETURNING x.state = 'running' AS goes_on
"""

_MAY_FOLLOW: LiteralString = "'" + json.dumps(  # of constants
    {status: sorted({status, *earlier}) if status == "delivery_attempted" else sorted(earlier)
     for status, earlier in {**FORWARD, "queued": frozenset({"queued"})}.items()}
) + "'::jsonb"  # fmt: skip
"""For each status those that it may follow, as `FORWARD` says; a message that waits may be told so again."""

MESSAGES: LiteralString = (
    """
INSERT INTO messages AS m
       (tenant_id, id, channel, recipient, subject, body_text, body_html, status, provider, provider_id, sent_at, delivered_at,
        notification_id, in_broadcast, recipient_id, category, locale, template, template_version, reason, held_until)
SELECT %(tenant_id)s, r.id, %(channel)s, r.address, coalesce(c.subject, ''), coalesce(c.body, ''), c.html, r.status, r.provider,
       r.provider_id, r.sent_at, CASE WHEN r.status = 'delivered' THEN r.sent_at END, %(broadcast_id)s, true, r.recipient_id,
       r.category, r.locale, r.template, r.version, r.reason, r.held_until
  FROM unnest(%(ids)s::uuid[], %(recipients)s::uuid[], %(addresses)s::text[], %(contents)s::int[], %(statuses)s::text[],
              %(providers)s::text[], %(provider_ids)s::text[], %(moments)s::timestamptz[], %(categories)s::text[],
              %(locales)s::text[], %(templates)s::text[], %(versions)s::int[], %(reasons)s::text[], %(holds)s::timestamptz[])
       AS r (id, recipient_id, address, content, status, provider, provider_id, sent_at, category, locale, template, version,
             reason, held_until)
  LEFT JOIN unnest(%(subjects)s::text[], %(texts)s::text[], %(htmls)s::text[]) WITH ORDINALITY AS c (subject, body, html, place)
       ON c.place = r.content
ON CONFLICT (tenant_id, notification_id, recipient_id) WHERE in_broadcast DO UPDATE
   SET status = excluded.status, provider = excluded.provider, provider_id = excluded.provider_id, sent_at = excluded.sent_at,
       delivered_at = excluded.delivered_at, subject = excluded.subject, body_text = excluded.body_text,
       body_html = excluded.body_html, locale = excluded.locale, template = excluded.template,
       template_version = excluded.template_version, category = excluded.category, reason = excluded.reason,
       held_until = coalesce(excluded.held_until, m.held_until)
 WHERE """
    + _MAY_FOLLOW
    + """ -> excluded.status ? m.status
"""
)

ATTEMPTS: LiteralString = """
INSERT INTO message_attempts AS a
       (tenant_id, id, message_id, number, provider, state, started_at, finished_at, error_code, detail)
SELECT %(tenant_id)s, r.id, r.message_id, r.number, r.provider, r.state, r.began, %(now)s, r.code, r.detail
  FROM unnest(%(ids)s::uuid[], %(messages)s::uuid[], %(numbers)s::int[], %(providers)s::text[], %(states)s::text[],
              %(codes)s::text[], %(details)s::text[], %(moments)s::timestamptz[])
       AS r (id, message_id, number, provider, state, code, detail, began)
ON CONFLICT (tenant_id, message_id, number) DO UPDATE
   SET state = excluded.state, finished_at = excluded.finished_at, error_code = excluded.error_code, detail = excluded.detail
 WHERE a.state IN ('calling', 'unknown')
"""
"""A call that was taken for cut off may still end, and its outcome then becomes known."""

USAGE: LiteralString = """
INSERT INTO metered_usage (tenant_id, id, code, quantity, source_kind, source_id)
SELECT %(tenant_id)s, r.id, 'message.' || %(channel)s, 1, 'message', r.source_id
  FROM unnest(%(ids)s::uuid[], %(sources)s::uuid[]) AS r (id, source_id)
ON CONFLICT DO NOTHING
"""

SUPPRESSIONS: LiteralString = """
INSERT INTO suppressions (tenant_id, id, channel, address, category, reason, message_id)
SELECT %(tenant_id)s, r.id, %(channel)s, r.address, '', r.reason, r.message_id
  FROM unnest(%(ids)s::uuid[], %(addresses)s::text[], %(reasons)s::text[], %(messages)s::uuid[])
       AS r (id, address, reason, message_id)
ON CONFLICT DO NOTHING
"""
