"""The dictionaries of the API. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict


class Accept(TypedDict):
    token: str
    password: NotRequired[str | None]
    """12 to 256 characters, without the name part of the email."""
    name: NotRequired[str]


class Accepted(TypedDict):
    user: User
    tenant_id: str


class Activity(TypedDict):
    tenants: list[TenantActivity]
    """At most 20."""
    providers: list[ProviderActivity]
    failures: list[Failures]
    """The most frequent, at most 20."""


class Address(TypedDict):
    email: str


class ApiCall(TypedDict):
    id: str
    job_id: str
    attempt: int
    operation: str
    provider: str
    request_model: str
    response_model: str | None
    response_id: str | None
    finish_reason: str | None
    input_tokens: int | None
    cached_input_tokens: int | None
    output_tokens: int | None
    usage_source: str | None
    cost_micros: int | None
    price_version: str | None
    key_source: str
    duration_ms: int
    ttft_ms: int | None
    """To the first piece of a stream."""
    principal: str | None
    """Who asked."""
    fallback_from: str | None
    """The target that failed before."""
    error_code: str | None
    created_at: str


class ApiCallPage(TypedDict):
    items: list[ApiCall]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class ApiKey(TypedDict):
    id: str
    user_id: str
    """Whom it acts for."""
    name: str
    last_four: str
    """The end of the key."""
    scopes: list[str]
    expires_at: str | None
    last_used_at: str | None
    """Exact to a minute."""
    created_at: str


class ApiKeyCreate(TypedDict):
    name: str
    scopes: list[str]
    """Permissions that the caller holds."""
    expires_at: NotRequired[str | None]
    """Null: never."""


class ApiKeyCreated(TypedDict):
    id: str
    user_id: str
    """Whom it acts for."""
    name: str
    last_four: str
    """The end of the key."""
    scopes: list[str]
    expires_at: str | None
    last_used_at: str | None
    """Exact to a minute."""
    created_at: str
    key: str
    """Shown this once."""


class ApiKeyPage(TypedDict):
    items: list[ApiKey]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class Archive(TypedDict):
    id: str
    kind: Literal["export", "backup", "upload"]
    state: Literal["writing", "ready"]
    """Only a `ready` archive can be downloaded and restored."""
    source_tenant_id: str
    """Whose data it holds."""
    bytes: int | None
    sha256: str | None
    """Of the file, hexadecimal."""
    schema_version: str | None
    rows: int | None
    objects: int | None
    taken_at: str | None
    """The moment that it shows."""
    created_by: str
    created_at: str


class ArchivePage(TypedDict):
    items: list[Archive]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class Attempt(TypedDict):
    number: int
    state: str
    amount: int
    error_code: str | None
    created_at: str
    finished_at: str | None


class Audience(TypedDict):
    recipients: NotRequired[list[str] | None]
    attributes: NotRequired[dict[str, Any]]
    """Values that the recipient's attributes must have."""


class AuditEntry(TypedDict):
    id: str
    occurred_at: str
    actor: str
    """`user:<id>`, `key:<id>`, `job:<id>`, `provider:<name>`, `system:<what>` or `anonymous`."""
    user_id: str | None
    """Whom the actor acts for."""
    action: str
    resource: str
    before: dict[str, Any] | None
    """What changed, as it was."""
    after: dict[str, Any] | None
    """What changed, as it is."""
    request_id: str | None
    address: str | None
    sequence: int | None
    """Its place in the chain; null for the second until it is sealed."""
    hash: str | None
    """SHA-256 over the chain up to here, in hexadecimal digits."""


class AuditEntryPage(TypedDict):
    items: list[AuditEntry]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class AuditFault(TypedDict):
    code: str
    """`altered`, `missing_entry`, `missing_seal`, `never_sealed`, `removed_unsealed`, `cut_off` or `rewritten`."""
    sequence: int | None
    entry_id: str | None
    detail: str


class AuditVerdict(TypedDict):
    ok: bool
    """Whether this piece holds."""
    checked: int
    """Entries that were verified."""
    first: int
    """What was verified comes after this place; pruned entries came before."""
    head: str
    """The last place verified, as `sequence:hash`. Note it elsewhere."""
    waiting: int
    """Entries that wait to be sealed, for a second."""
    faults: list[AuditFault]
    next: int | None
    """`after` of the next piece; null at the end of the chain."""


class Backup(TypedDict):
    id: str
    """Also the id of the job that made it."""
    taken_at: str
    """The moment of the platform database's rows."""
    bytes: int
    rows: int
    tenants: int
    """Whose data is in it."""
    left_out: list[LeftOut]
    problem: str | None
    """Why it cannot be restored with the present master keys, as a code."""


class BackupPage(TypedDict):
    items: list[Backup]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class Balance(TypedDict):
    currency: str
    amount: int


class Broadcast(TypedDict):
    id: str
    name: str
    channel: str
    category: str
    state: Literal["running", "paused", "cancelled", "finished"]
    total: int
    """Recipients."""
    fanned_out: int
    """Recipients handed to batches."""
    created_at: str


class BroadcastCounts(TypedDict):
    queued: int
    sent: int
    delivered: int
    bounced: int
    undelivered: int
    not_sent: int
    outcome_unknown: int


class BroadcastDetail(TypedDict):
    id: str
    name: str
    channel: str
    category: str
    state: Literal["running", "paused", "cancelled", "finished"]
    total: int
    """Recipients."""
    fanned_out: int
    """Recipients handed to batches."""
    created_at: str
    counts: BroadcastCounts


class BroadcastPage(TypedDict):
    items: list[Broadcast]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class Budget(TypedDict):
    name: str
    period: Literal["day", "month", "total"]
    """By UTC; `total` never begins anew."""
    limit_micros: int
    """Millionths of a US dollar."""
    key_source: NotRequired[Literal["platform", "tenant", "sandbox"] | None]
    principal: NotRequired[str | None]
    """`key:<id>` of an API key, or `user:<id>`."""
    id: str
    spent_micros: int
    reserved_micros: int
    period_start: str
    created_at: str


class BudgetCreate(TypedDict):
    name: str
    period: Literal["day", "month", "total"]
    """By UTC; `total` never begins anew."""
    limit_micros: int
    """Millionths of a US dollar."""
    key_source: NotRequired[Literal["platform", "tenant", "sandbox"] | None]
    principal: NotRequired[str | None]
    """`key:<id>` of an API key, or `user:<id>`."""


class BudgetPage(TypedDict):
    items: list[Budget]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class Certificate(TypedDict):
    id: str
    tenant_id: str
    statement: str
    """Canonical JSON that names what was destroyed, with counts."""
    signature: str
    """Base64."""
    public_key: str
    """32 bytes in base64."""
    created_at: str


class CertificatePage(TypedDict):
    items: list[Certificate]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class Charge(TypedDict):
    id: str
    code: str
    """The meter's."""
    name: str
    aggregation: Literal["count", "sum", "max", "unique", "latest"]
    model: Literal["standard", "graduated", "volume", "package"]
    terms: dict[str, Any]
    """`standard`: `unit_amount`, `free_units`. `graduated`, `volume`: `tiers` of `up_to` (null in the last), `unit_amount`, `flat_amount`. `package`: `package_amount`, `package_size`, `free_units`. Decimals are strings."""


class ChargeCreate(TypedDict):
    meter: str
    """Its code."""
    name: NotRequired[str | None]
    """On invoices; left out, the meter's."""
    model: Literal["standard", "graduated", "volume", "package"]
    terms: dict[str, Any]
    """`standard`: `unit_amount`, `free_units`. `graduated`, `volume`: `tiers` of `up_to` (null in the last), `unit_amount`, `flat_amount`. `package`: `package_amount`, `package_size`, `free_units`. Decimals are strings."""


class ChatMessage(TypedDict):
    role: Literal["system", "user", "assistant"]
    content: str


class Code(TypedDict):
    code: str
    """Six digits of the app, or a recovery code."""


class CompletionCreate(TypedDict):
    messages: list[ChatMessage]
    model: NotRequired[str | None]
    max_tokens: NotRequired[int]
    temperature: NotRequired[float | None]
    stream: NotRequired[bool]


class Contribution(TypedDict):
    source: str
    rank: int
    weight: float
    contribution: float


class CreditNote(TypedDict):
    id: str
    number: int
    invoice_id: str
    amount: int
    currency: str
    reason: str
    kind: Literal["reduction", "balance", "refund"]
    state: Literal["pending", "done", "failed"]
    created_at: str


class CreditNoteCreate(TypedDict):
    invoice_id: str
    amount: int
    reason: str
    refund: NotRequired[bool]


class CreditNotePage(TypedDict):
    items: list[CreditNote]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class Customer(TypedDict):
    id: str
    name: str
    email: str
    timezone: str
    external_id: str | None
    created_at: str


class CustomerCreate(TypedDict):
    name: str
    email: str
    timezone: NotRequired[str]
    external_id: NotRequired[str | None]
    """The seller's own name for the customer, unique."""


class CustomerDetail(TypedDict):
    id: str
    name: str
    email: str
    timezone: str
    external_id: str | None
    created_at: str
    balances: list[Balance]


class CustomerPage(TypedDict):
    items: list[Customer]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class CustomerPut(TypedDict):
    name: str
    email: str


class DeliveryExplanation(TypedDict):
    outcome: Literal["send", "hold", "drop"]
    rule: Literal["suppression", "critical", "recipient_specific", "recipient_general", "tenant_default", "platform_default", "quiet_hours"]
    detail: str
    until: str | None
    order: list[str]
    """The rules in the order in which they are asked."""


class DeliveryQuestion(TypedDict):
    channel: NotRequired[Literal["email", "sms", "push", "in_app"]]
    recipient: NotRequired[str | None]
    to: NotRequired[str | None]
    category: NotRequired[str]
    critical: NotRequired[bool]
    at: NotRequired[str | None]
    """When; left out, now."""


class Device(TypedDict):
    id: str
    kind: str
    last_four: str
    gone_at: str | None
    """When its provider said that it has unsubscribed."""
    created_at: str


class DeviceCreate(TypedDict):
    kind: Literal["web_push", "fcm"]
    token: NotRequired[str | None]
    endpoint: NotRequired[str | None]
    keys: NotRequired[WebPushKeys | None]


class DevicePage(TypedDict):
    items: list[Device]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class Document(TypedDict):
    id: str
    external_id: str
    title: str
    url: str | None
    language: Literal["simple", "arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "finnish", "french", "german", "greek", "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian", "nepali", "norwegian", "portuguese", "romanian", "russian", "serbian", "spanish", "swedish", "tamil", "turkish", "yiddish"]
    metadata: dict[str, Any]
    version: int
    created_at: str
    updated_at: str
    body: str


class DocumentBody(TypedDict):
    title: str
    body: str
    url: NotRequired[str | None]
    language: NotRequired[Literal["simple", "arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "finnish", "french", "german", "greek", "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian", "nepali", "norwegian", "portuguese", "romanian", "russian", "serbian", "spanish", "swedish", "tamil", "turkish", "yiddish"] | None]
    metadata: NotRequired[dict[str, Any]]


class DocumentBulk(TypedDict):
    items: list[dict[str, Any]]
    """Each as the body of PUT /search/documents/{external_id}, with its `external_id`."""


class DocumentBulkItem(TypedDict):
    index: int
    external_id: str | None
    status: Literal["created", "replaced", "refused"]
    errors: list[FieldProblem]


class DocumentBulkResult(TypedDict):
    created: int
    replaced: int
    refused: int
    items: list[DocumentBulkItem]


class DocumentSummary(TypedDict):
    id: str
    external_id: str
    title: str
    url: str | None
    language: Literal["simple", "arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "finnish", "french", "german", "greek", "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian", "nepali", "norwegian", "portuguese", "romanian", "russian", "serbian", "spanish", "swedish", "tamil", "turkish", "yiddish"]
    metadata: dict[str, Any]
    version: int
    created_at: str
    updated_at: str


class DocumentSummaryPage(TypedDict):
    items: list[DocumentSummary]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class DriftCreate(TypedDict):
    tenant_ids: NotRequired[list[str]]
    """Without any, all."""


class EmbeddingCreate(TypedDict):
    input: list[str]
    model: NotRequired[str | None]
    dimensions: NotRequired[int | None]


class Engagement(TypedDict):
    event: Literal["seen", "read", "clicked"]


class Enrolment(TypedDict):
    secret: str
    """Base32."""
    uri: str
    """The same for a QR code."""


class Entitlements(TypedDict):
    entitlements: dict[str, Any]
    quotas: dict[str, Any]


class Event(TypedDict):
    id: str
    type: str
    timestamp: str
    """When it was published."""
    data: dict[str, Any]
    """What the type defines."""


class EventPage(TypedDict):
    items: list[Event]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class EventType(TypedDict):
    name: str
    description: str


class EventTypeList(TypedDict):
    items: list[EventType]


class ExplainLack(TypedDict):
    code: str
    """`no_role`, `account_disabled`, `key_ended` or `not_in_scopes`."""
    detail: str


class ExplainPath(TypedDict):
    steps: list[ExplainStep]


class ExplainStep(TypedDict):
    type: str
    """`api_key`, `user`, `group` or `role`."""
    id: str
    name: str


class Explanation(TypedDict):
    permission: str
    user_id: str
    api_key_id: str | None
    held: bool
    paths: list[ExplainPath]
    """By which roles give it, the shortest first."""
    missing: list[ExplainLack]
    """Why it does not hold; empty if it does."""
    roles: list[str]
    """Roles that would give it, for callers who may read roles."""


class Failures(TypedDict):
    kind: str
    code: str
    attempts: int
    """Since ever: two looks tell how fast it grows."""


class FeedCount(TypedDict):
    unseen: int
    unread: int


class FieldProblem(TypedDict):
    pointer: str
    """JSON Pointer (RFC 6901) into the body; faults of the query begin with `/query/`."""
    code: str
    detail: str


class Firing(TypedDict):
    at: str
    local: str
    """What the zone's clock shows then."""


class FiringList(TypedDict):
    items: list[Firing]


class Fleet(TypedDict):
    newest: str
    """The revision of this version."""
    current: int
    """Databases at it."""
    behind: int
    """Databases at an older one."""
    revisions: list[Revision]
    wave: Wave | None
    """The latest, if any."""


class Group(TypedDict):
    id: str
    name: str
    description: str
    parent_id: str | None
    members: int
    """Its own, not those of groups below."""
    created_at: str


class GroupMember(TypedDict):
    id: str
    email: str
    name: str
    joined_at: str
    """When the user was put into the group."""


class GroupMemberPage(TypedDict):
    items: list[GroupMember]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class GroupPage(TypedDict):
    items: list[Group]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class GroupPut(TypedDict):
    name: str
    """Unique in the tenant."""
    description: NotRequired[str]
    parent_id: NotRequired[str | None]
    """The group above, whose roles the members of this one hold too."""


class GroupRole(TypedDict):
    id: str
    name: str


class GroupRolePage(TypedDict):
    items: list[GroupRole]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class Hit(TypedDict):
    id: str
    source: str
    title: str
    snippet: str
    url: str | None
    score: float
    ranks: dict[str, int]
    explanation: NotRequired[list[Contribution]]
    """Where `explain=true` asked for it."""


class Invitation(TypedDict):
    id: str
    email: str
    roles: list[str]
    """Those that are still there."""
    state: Literal["pending", "accepted", "revoked", "expired"]
    invited_by: str | None
    created_at: str
    expires_at: str
    accepted_at: str | None
    accepted_by: str | None
    """The account that joined."""
    revoked_at: str | None


class InvitationCreate(TypedDict):
    email: str
    roles: list[str]
    """Names of roles that the caller could give."""


class InvitationPage(TypedDict):
    items: list[Invitation]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class Invoice(TypedDict):
    id: str
    number: int | None
    """Null: a draft."""
    subscription_id: str | None
    customer_id: str
    period_start: str | None
    period_end: str | None
    currency: str
    total: int
    credited: int
    """By credit notes."""
    state: Literal["draft", "open", "paid", "void", "uncollectible"]
    paid_at: str | None
    collect_at: str | None
    """The next attempt to collect it."""
    created_at: str
    available_actions: list[str]
    """A payment whose metadata names this invoice in `invoice_id` settles it, too."""


class InvoiceCreate(TypedDict):
    customer_id: str
    currency: str
    lines: list[ManualLine]


class InvoiceDetail(TypedDict):
    id: str
    number: int | None
    """Null: a draft."""
    subscription_id: str | None
    customer_id: str
    period_start: str | None
    period_end: str | None
    currency: str
    total: int
    credited: int
    """By credit notes."""
    state: Literal["draft", "open", "paid", "void", "uncollectible"]
    paid_at: str | None
    collect_at: str | None
    """The next attempt to collect it."""
    created_at: str
    available_actions: list[str]
    """A payment whose metadata names this invoice in `invoice_id` settles it, too."""
    lines: list[InvoiceLine]
    attempts: list[Attempt]
    snapshot: dict[str, Any]


class InvoiceLine(TypedDict):
    id: str
    description: str
    quantity: float
    unit_amount: float
    amount: int
    kind: Literal["fee", "usage", "adjustment", "balance", "manual"]
    code: str | None
    """The meter's, of usage."""
    starts_at: str | None
    """The span that it bills."""
    ends_at: str | None


class InvoicePage(TypedDict):
    items: list[Invoice]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class InvoicePreview(TypedDict):
    currency: str
    period_start: str
    period_end: str
    due_at: str
    total: int
    lines: list[PreviewLine]


class Job(TypedDict):
    id: str
    kind: str
    queue: str
    state: Literal["scheduled", "queued", "running", "retrying", "succeeded", "failed", "cancelled"]
    attempt: int
    """Attempts begun so far."""
    max_attempts: int
    progress: JobProgress | None
    result: Any
    """Any JSON, as the kind defines it."""
    error: JobError | None
    priority: int
    unique_key: str | None
    parent_id: str | None
    replay_of: str | None
    """The job that this one repeats."""
    webhook_endpoint_id: str | None
    """The endpoint that was named to hear of its end."""
    cancel_requested: bool
    created_at: str
    run_at: str | None
    """When it was, or will next be, due; null while it waits for other jobs."""
    started_at: str | None
    finished_at: str | None
    expires_at: str | None
    """Until when it can be read."""
    links: JobLinks


class JobBulk(TypedDict):
    items: list[JobBulkItem]


class JobBulkItem(TypedDict):
    kind: str
    payload: NotRequired[dict[str, Any]]
    run_at: NotRequired[str | None]
    """Not before this moment. Up to a minute ago means now; before that it is refused."""
    priority: NotRequired[int | None]
    """Among this tenant's jobs, higher goes first; left out, the kind's own."""
    unique_key: NotRequired[str | None]
    """Only one live job of the kind may hold it."""
    webhook_endpoint_id: NotRequired[str | None]
    """An endpoint of yours that gets this job's end, whatever it subscribes to."""
    parent_id: NotRequired[str | None]
    """A live job that this one belongs to: cancelling that one cancels this one."""
    after: NotRequired[list[str]]
    """Jobs that must finish before this one may begin."""
    after_policy: NotRequired[Literal["all_succeeded", "all_finished"]]
    """`all_succeeded`: if one of `after` fails, is cancelled or expires, this job is cancelled with the code `dependency_failed`. `all_finished`: it begins whatever they came to."""
    idempotency_key: NotRequired[str | None]
    """As the header of a single submission. Left out, it is made of the request's and the place."""


class JobBulkResult(TypedDict):
    status: int
    """As of a request of its own."""
    created: bool
    """False if an earlier submission made the job."""
    job: Job | None
    error: Problem | None


class JobBulkResultList(TypedDict):
    items: list[JobBulkResult]
    accepted: int
    """Items that have a job."""


class JobChildren(TypedDict):
    items: list[Job]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""
    total: int
    """All children."""
    finished: int
    """Those that have finished."""
    states: dict[str, int]
    """How many are in each state."""


class JobCreate(TypedDict):
    kind: str
    payload: NotRequired[dict[str, Any]]
    run_at: NotRequired[str | None]
    """Not before this moment. Up to a minute ago means now; before that it is refused."""
    priority: NotRequired[int | None]
    """Among this tenant's jobs, higher goes first; left out, the kind's own."""
    unique_key: NotRequired[str | None]
    """Only one live job of the kind may hold it."""
    webhook_endpoint_id: NotRequired[str | None]
    """An endpoint of yours that gets this job's end, whatever it subscribes to."""
    parent_id: NotRequired[str | None]
    """A live job that this one belongs to: cancelling that one cancels this one."""
    after: NotRequired[list[str]]
    """Jobs that must finish before this one may begin."""
    after_policy: NotRequired[Literal["all_succeeded", "all_finished"]]
    """`all_succeeded`: if one of `after` fails, is cancelled or expires, this job is cancelled with the code `dependency_failed`. `all_finished`: it begins whatever they came to."""
    on_conflict: NotRequired[Literal["reject", "replace"]]
    """When a live job of the kind holds the `unique_key`: `reject` answers 409. `replace` gives that job this payload, time, priority and webhook endpoint if it has not begun, else answers 409."""


class JobDependency(TypedDict):
    job_id: str
    state: Literal["scheduled", "queued", "running", "retrying", "succeeded", "failed", "cancelled", "expired"]
    """`expired`: it can no longer be read."""


class JobDependencyList(TypedDict):
    items: list[JobDependency]


class JobError(TypedDict):
    code: str
    title: str
    detail: str
    retryable: bool


class JobLinks(TypedDict):
    self: str
    events: str
    cancel: str


class JobPage(TypedDict):
    items: list[Job]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class JobProgress(TypedDict):
    done: int
    total: int | None
    message: str


class JobReplay(TypedDict):
    filter: JobReplayFilter
    dry_run: NotRequired[bool]
    """Only count."""
    limit: NotRequired[int]
    """Replay at most so many, the oldest first."""


class JobReplayFilter(TypedDict):
    state: NotRequired[Literal["failed", "cancelled"]]
    kind: NotRequired[str | None]
    queue: NotRequired[str | None]
    error_code: NotRequired[str | None]
    finished_from: NotRequired[str | None]
    finished_to: NotRequired[str | None]


class JobReplayItem(TypedDict):
    status: int
    """As of a request of its own."""
    created: bool
    """False if an earlier submission made the job."""
    job: Job | None
    error: Problem | None
    replay_of: str


class JobReplayResult(TypedDict):
    found: int
    """Before this request."""
    kinds: dict[str, int]
    """How many of each kind."""
    replayed: int
    items: list[JobReplayItem]


class Jwk(TypedDict):
    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    alg: Literal["EdDSA"]
    use: Literal["sig"]
    kid: str
    x: str


class Jwks(TypedDict):
    keys: list[Jwk]


class Kind(TypedDict):
    name: str
    queue: str
    permission: str
    """Needed beside `job:create`."""
    priority: int
    max_attempts: int
    deadline_seconds: float
    """Bounds one attempt."""
    retention_seconds: float
    """How long a finished job can be read."""
    payload_schema: dict[str, Any]
    """JSON Schema (2020-12) of the payload."""


class KindList(TypedDict):
    items: list[Kind]


class KindState(TypedDict):
    name: str
    queue: str
    mean_seconds: float | None
    """Of an attempt, recent ones weighing more; null before the first."""
    runs: int
    failures: int
    """Attempts that failed."""
    rate_per_minute: float
    batch_size: int
    """Jobs that fill a message at present."""
    pause: Pause | None


class KindStateList(TypedDict):
    items: list[KindState]


class LeftOut(TypedDict):
    tenant_id: str
    code: Literal["external", "erased", "tenant_database_down"]
    """Why: its server has backups of its own, it went meanwhile, or it was away."""


class Limits(TypedDict):
    tenant_id: str
    weight: float
    max_running: int | None
    rate_per_second: float | None
    burst: int | None
    updated_at: str | None
    """Null: never set."""
    updated_by: str | None


class LimitsUpdate(TypedDict):
    weight: NotRequired[float]
    """While tenants wait, one of weight 2 gets twice the share of one of weight 1."""
    max_running: NotRequired[int | None]
    """Jobs dispatched or running at once."""
    rate_per_second: NotRequired[float | None]
    """Jobs begun per second, over time."""
    burst: NotRequired[int | None]
    """Of the rate, how many may begin at once; left out, what the rate gives in a second."""


class Link(TypedDict):
    token: str


class Liveness(TypedDict):
    status: str


class LlmConfig(TypedDict):
    provider: Literal["nexus", "openai", "anthropic", "openai_compatible"]
    model: str | None
    """Where the caller names none."""
    base_url: str | None
    api_key_last_four: str | None
    fallbacks: list[Target]
    requests_per_minute: int | None
    tokens_per_minute: int | None


class LlmConfigUpdate(TypedDict):
    provider: Literal["nexus", "openai", "anthropic", "openai_compatible"]
    model: NotRequired[str | None]
    base_url: NotRequired[str | None]
    """Of an `openai_compatible` server."""
    api_key: NotRequired[str | None]
    fallbacks: NotRequired[list[TargetUpdate]]
    requests_per_minute: NotRequired[int | None]
    tokens_per_minute: NotRequired[int | None]


class Login(TypedDict):
    email: str
    password: str
    code: NotRequired[str | None]
    """Of the second factor, or a recovery code. Unset: none was asked for."""


class ManualLine(TypedDict):
    description: str
    quantity: NotRequired[str]
    unit_amount: str


class MasterKey(TypedDict):
    id: str
    active: bool
    """Whether it wraps what is new."""
    in_ring: bool
    """Whether the API has it; if not, what stands under it cannot be opened."""
    origin: bool
    """Whether the platform's database accounts and the signatures of archives are derived from it, because `NEXUS_ORIGIN_KEY` is not set."""
    data_keys: int
    """Of tenants, under this key."""
    signing_keys: int
    """Under this key."""
    second_factors: int
    """Under this key."""
    archives: int
    """Under this key; one whose key is not known yet counts for all."""
    retired_at: str | None
    """Since when it wraps nothing new, as far as is known."""
    removable: bool
    """Whether it may leave `NEXUS_MASTER_KEYS`: nothing that the platform keeps stands under it, for a day by now. Archives that were taken elsewhere are not known here."""


class MasterKeyList(TypedDict):
    items: list[MasterKey]


class Me(TypedDict):
    subject: str
    user: User
    session_id: str | None
    api_key_id: str | None
    tenant_id: str | None
    permissions: list[str]


class Member(TypedDict):
    id: str
    email: str
    name: str
    roles: list[str]
    disabled: bool
    """Whether the account may not sign in."""
    created_at: str
    """When the account was made."""
    joined_at: str
    """When the account became a member."""


class MemberCreate(TypedDict):
    email: str
    roles: list[str]
    """Names of roles that the caller could give."""
    name: NotRequired[str]
    password: NotRequired[str | None]
    """12 to 256 characters, without the name part of the email."""


class MemberPage(TypedDict):
    items: list[Member]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class MemberUpdate(TypedDict):
    roles: list[str]
    """Names of roles that the caller could give, in place of the present ones."""


class Meter(TypedDict):
    id: str
    code: str
    name: str
    aggregation: Literal["count", "sum", "max", "unique", "latest"]
    property: str | None
    created_at: str


class MeterCreate(TypedDict):
    code: str
    name: str
    aggregation: Literal["count", "sum", "max", "unique", "latest"]
    property: NotRequired[str | None]
    """Which of an event's properties is summed, compared or told apart; none for `count`."""


class MeterPage(TypedDict):
    items: list[Meter]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class Mfa(TypedDict):
    enabled: bool
    activated_at: str | None
    recovery_codes_left: int


class Model(TypedDict):
    provider: str
    id: str
    name: str
    context_window: int | None
    input_micros: int | None
    cached_input_micros: int | None
    output_micros: int | None
    price_version: str


class ModelList(TypedDict):
    items: list[Model]


class Notification(TypedDict):
    id: str
    notification_id: str | None
    """The notification or broadcast that it belongs to."""
    channel: str
    to: str
    subject: str
    category: str
    status: Literal["queued", "sent", "delivered", "delivery_attempted", "undelivered", "not_sent", "bounced", "unknown"]
    reason: str | None
    """The rule that decided, or why it was not sent."""
    provider: str | None
    provider_id: str | None
    """The provider's own id."""
    created_at: str
    held_until: str | None
    """The end of quiet hours."""
    sent_at: str | None
    delivered_at: str | None
    seen_at: str | None
    read_at: str | None
    clicked_at: str | None


class NotificationAttempt(TypedDict):
    number: int
    provider: str
    state: Literal["calling", "succeeded", "failed", "unknown"]
    error_code: str | None
    detail: str | None
    started_at: str
    finished_at: str | None


class NotificationBroadcast(TypedDict):
    subject: NotRequired[str | None]
    text: NotRequired[str | None]
    html: NotRequired[str | None]
    template: NotRequired[str | None]
    """A template's key, instead of a text."""
    template_version: NotRequired[int | None]
    """Left out, the present one."""
    data: NotRequired[dict[str, Any]]
    """What the template's variables stand for."""
    locale: NotRequired[str | None]
    category: NotRequired[str]
    """What it is about; preferences and unsubscribing go by it."""
    critical: NotRequired[bool]
    """Sent whatever the recipient has chosen and whatever the time is, unless suppressed."""
    name: str
    channel: NotRequired[Literal["email", "sms", "push", "in_app"]]
    audience: Audience


class NotificationDetail(TypedDict):
    id: str
    notification_id: str | None
    """The notification or broadcast that it belongs to."""
    channel: str
    to: str
    subject: str
    category: str
    status: Literal["queued", "sent", "delivered", "delivery_attempted", "undelivered", "not_sent", "bounced", "unknown"]
    reason: str | None
    """The rule that decided, or why it was not sent."""
    provider: str | None
    provider_id: str | None
    """The provider's own id."""
    created_at: str
    held_until: str | None
    """The end of quiet hours."""
    sent_at: str | None
    delivered_at: str | None
    seen_at: str | None
    read_at: str | None
    clicked_at: str | None
    text: str
    html: str | None
    locale: str | None
    template: str | None
    template_version: int | None
    attempts: list[NotificationAttempt]
    timeline: list[NotificationTimeline]


class NotificationPage(TypedDict):
    items: list[Notification]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class NotificationProvider(TypedDict):
    name: str
    type: Literal["smtp", "ses", "twilio", "fcm", "web_push", "file_email", "file_sms", "file_push", "console_email", "console_sms", "console_push"]
    priority: NotRequired[int]
    """Lower ones are asked first."""
    enabled: NotRequired[bool]
    config: NotRequired[dict[str, Any]]
    id: str
    channel: str
    last_four: dict[str, str]
    callback_url: str
    """Where the provider reports what became of messages."""


class NotificationProviderList(TypedDict):
    items: list[NotificationProvider]


class NotificationProviderListPut(TypedDict):
    items: list[NotificationProviderPut]


class NotificationProviderPut(TypedDict):
    name: str
    type: Literal["smtp", "ses", "twilio", "fcm", "web_push", "file_email", "file_sms", "file_push", "console_email", "console_sms", "console_push"]
    priority: NotRequired[int]
    """Lower ones are asked first."""
    enabled: NotRequired[bool]
    config: NotRequired[dict[str, Any]]
    secrets: NotRequired[dict[str, str]]


class NotificationRequest(TypedDict):
    subject: NotRequired[str | None]
    text: NotRequired[str | None]
    html: NotRequired[str | None]
    template: NotRequired[str | None]
    """A template's key, instead of a text."""
    template_version: NotRequired[int | None]
    """Left out, the present one."""
    data: NotRequired[dict[str, Any]]
    """What the template's variables stand for."""
    locale: NotRequired[str | None]
    category: NotRequired[str]
    """What it is about; preferences and unsubscribing go by it."""
    critical: NotRequired[bool]
    """Sent whatever the recipient has chosen and whatever the time is, unless suppressed."""
    channel: NotRequired[Literal["email", "sms", "push", "in_app"]]
    to: NotRequired[str]
    """An email address, a number in E.164, a device's id, or for `in_app` a recipient's name."""
    recipients: NotRequired[list[str]]
    """Your own names for the people."""
    channels: NotRequired[list[Literal["email", "sms", "push", "in_app"]]]


class NotificationSettings(TypedDict):
    channels: NotRequired[dict[str, bool]]
    categories: NotRequired[dict[str, dict[str, bool]]]
    quiet_hours: NotRequired[QuietHours | None]
    timezone: NotRequired[str]
    locale: NotRequired[str]
    platform_providers: NotRequired[Literal["when_none", "fallback", "never"]]
    """Where the tenant has no provider of its own (`when_none`), also after its own failed (`fallback`), or `never`."""


class NotificationTimeline(TypedDict):
    at: str
    event: str
    source: str
    detail: str | None


class OwnBucket(TypedDict):
    name: str
    endpoint: NotRequired[str | None]
    region: NotRequired[str | None]
    access_key: str
    secret_key: str


class OwnServer(TypedDict):
    url: str
    """An account that may create roles, and tables in the schema `public`, which must be empty or ours; no superuser. `sslmode` is `require` unless it says more."""


class PaginationMetadata(TypedDict):
    total: NotRequired[int]
    """Total number of items."""
    total_pages: NotRequired[int]
    """Total number of pages."""
    first_page: NotRequired[int]
    """First available page number."""
    last_page: NotRequired[int]
    """Last available page number."""
    page: NotRequired[int]
    """Current page number."""
    previous_page: NotRequired[int]
    """Previous page number."""
    next_page: NotRequired[int]
    """Next page number."""


class Part(TypedDict):
    state: Literal["up", "down", "unknown"]
    required: bool
    """Whether readiness depends on it."""
    age_seconds: float | None
    slots: NotRequired[int]
    """Of a queue: how many jobs can run at once."""
    paused: NotRequired[bool]
    """Of a queue: whether operators hold it back."""
    problem: NotRequired[Literal["no_workers", "no_claims"]]
    """Of a queue that is down: no worker lives, or workers live, are free, and claimed nothing of what was dispatched to them for 30 seconds."""


class Password(TypedDict):
    password: str


class PasswordAndCode(TypedDict):
    code: str
    """Six digits of the app, or a recovery code."""
    password: str


class Pause(TypedDict):
    scope: Literal["queue", "kind", "tenant"]
    name: str
    """Of the queue or kind; a tenant's id."""
    reason: str
    drain: bool
    """Whether someone waits for it to be drained."""
    paused_by: str
    """Who did it."""
    created_at: str
    in_flight: int | None
    """Dispatched or running, as last counted; null until then."""
    drained: bool
    """Nothing is in flight, and nothing will be until it is resumed."""


class PauseCreate(TypedDict):
    reason: NotRequired[str]


class PauseList(TypedDict):
    items: list[Pause]


class PaymentMethod(TypedDict):
    id: str
    customer_id: str
    provider: str
    brand: str
    last4: str
    is_default: bool
    created_at: str


class PaymentMethodCreate(TypedDict):
    provider_id: str


class PaymentMethodList(TypedDict):
    items: list[PaymentMethod]


class Permission(TypedDict):
    name: str
    resource: str
    action: str
    description: str
    is_system: bool
    """Whether the platform asks for it."""
    held: bool
    """Whether the caller holds it in this tenant."""


class PermissionCreate(TypedDict):
    name: str
    """`resource:action` of lower-case letters, digits and underscores; none of the platform's."""
    description: NotRequired[str]


class PermissionList(TypedDict):
    items: list[Permission]
    next_cursor: str | None


class Plan(TypedDict):
    id: str
    code: str
    name: str
    amount: int
    currency: str
    interval: Literal["day", "week", "month", "year"]
    interval_count: int
    pay_in_advance: bool
    trial_days: int
    entitlements: dict[str, Any]
    """Features by name: true, a number or a text."""
    quotas: dict[str, Any]
    """The most that a period may use, by meter: a number, which only warns, or `{limit, hard}`."""
    charges: list[Charge]
    created_at: str


class PlanCreate(TypedDict):
    code: str
    name: str
    amount: int
    currency: str
    """ISO 4217; kept in upper case."""
    interval: Literal["day", "week", "month", "year"]
    interval_count: NotRequired[int]
    pay_in_advance: NotRequired[bool]
    """Bill the fee when a period begins, not when it has ended."""
    trial_days: NotRequired[int]
    entitlements: NotRequired[dict[str, Any]]
    """Features by name: true, a number or a text."""
    quotas: NotRequired[dict[str, Any]]
    """The most that a period may use, by meter: a number, which only warns, or `{limit, hard}`."""
    charges: NotRequired[list[ChargeCreate]]


class PlanPage(TypedDict):
    items: list[Plan]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class PortalCreate(TypedDict):
    return_url: str


class Preferences(TypedDict):
    channels: NotRequired[dict[str, bool]]
    categories: NotRequired[dict[str, dict[str, bool]]]
    quiet_hours: NotRequired[QuietHours | None]
    timezone: NotRequired[str | None]
    locale: NotRequired[str | None]


class PreviewLine(TypedDict):
    description: str
    quantity: float
    unit_amount: float
    amount: int
    kind: Literal["fee", "usage", "adjustment", "balance", "manual"]


class Price(TypedDict):
    provider: Literal["openai", "anthropic", "openai_compatible"]
    model: str
    input_micros: int
    cached_input_micros: NotRequired[int | None]
    """Null: as all input."""
    output_micros: int
    id: str
    version: int
    created_at: str


class PriceCreate(TypedDict):
    provider: Literal["openai", "anthropic", "openai_compatible"]
    model: str
    input_micros: int
    cached_input_micros: NotRequired[int | None]
    """Null: as all input."""
    output_micros: int


class PricePage(TypedDict):
    items: list[Price]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class Problem(TypedDict):
    type: str
    """Names the cause, as `code` does."""
    title: str
    status: int
    detail: str
    instance: str
    """The path asked for."""
    code: str
    errors: list[FieldProblem]
    trace_id: str
    """Finds the request in our logs."""


class ProviderActivity(TypedDict):
    provider: str
    calls: int
    """Since ever: two looks tell how fast it grows."""
    failures: int
    seconds: float
    """What the calls took together."""
    circuits_open: int
    """Accounts that processes leave alone for now."""


class Queue(TypedDict):
    name: str
    due: int
    """Could run now and wait."""
    waiting: int
    """Wait for their time."""
    in_flight: int
    """Dispatched or running."""
    oldest_due_seconds: float
    rate_per_minute: float
    """Attempts that end per minute; the last half minute weighs most."""
    workers: int
    """Live ones."""
    slots: int
    """Jobs that can run at once."""
    deaf: bool
    """Its workers live and are free, but claim nothing."""
    pause: Pause | None
    measured_at: str | None
    """Null before the first count."""


class QueueList(TypedDict):
    items: list[Queue]


class QuietHours(TypedDict):
    start: str
    end: str
    days: NotRequired[list[int]]
    """Weekdays on which they begin, Monday is 0."""


class QuotaUse(TypedDict):
    jobs_per_day: int
    storage_bytes: int
    members: int
    api_keys: int
    schedules: int
    concurrent_jobs: int


class Quotas(TypedDict):
    jobs_per_day: NotRequired[int | None]
    """Jobs that clients submit on a day (UTC)."""
    storage_bytes: NotRequired[int | None]
    """Objects and archives in the bucket together."""
    members: NotRequired[int | None]
    api_keys: NotRequired[int | None]
    """Keys that are not revoked."""
    schedules: NotRequired[int | None]
    concurrent_jobs: int | None
    """Jobs at once; `max_running` of the limits that operators set."""
    used: QuotaUse
    """Jobs of the day are counted while there is a quota on them."""


class QuotasUpdate(TypedDict):
    jobs_per_day: NotRequired[int | None]
    """Jobs that clients submit on a day (UTC)."""
    storage_bytes: NotRequired[int | None]
    """Objects and archives in the bucket together."""
    members: NotRequired[int | None]
    api_keys: NotRequired[int | None]
    """Keys that are not revoked."""
    schedules: NotRequired[int | None]


class Readiness(TypedDict):
    status: Literal["ready", "unready"]
    parts: dict[str, Part]


class Recipient(TypedDict):
    email: NotRequired[str | None]
    phone: NotRequired[str | None]
    locale: NotRequired[str | None]
    timezone: NotRequired[str | None]
    attributes: NotRequired[dict[str, Any]]
    id: str
    external_id: str
    created_at: str
    updated_at: str


class RecipientBulk(TypedDict):
    items: list[RecipientBulkItem]


class RecipientBulkItem(TypedDict):
    email: NotRequired[str | None]
    phone: NotRequired[str | None]
    locale: NotRequired[str | None]
    timezone: NotRequired[str | None]
    attributes: NotRequired[dict[str, Any]]
    external_id: str


class RecipientBulkResult(TypedDict):
    stored: int


class RecipientPage(TypedDict):
    items: list[Recipient]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class RecipientPut(TypedDict):
    email: NotRequired[str | None]
    phone: NotRequired[str | None]
    locale: NotRequired[str | None]
    timezone: NotRequired[str | None]
    attributes: NotRequired[dict[str, Any]]


class RecoveryCodes(TypedDict):
    recovery_codes: list[str]


class Refresh(TypedDict):
    refresh_token: str


class Register(TypedDict):
    email: str
    password: str
    """12 to 256 characters, without the name part of the email."""
    name: NotRequired[str]


class Reset(TypedDict):
    token: str
    password: str
    """12 to 256 characters, without the name part of the email."""


class Revision(TypedDict):
    tier: Literal["dedicated", "pooled", "external"]
    version: str | None
    tenants: int
    databases: int
    """Pooled tenants share one."""


class Role(TypedDict):
    id: str
    name: str
    description: str
    is_system: bool
    """System roles cannot be changed."""
    permissions: list[str]
    created_at: str


class RolePage(TypedDict):
    items: list[Role]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class RolePermissions(TypedDict):
    items: list[str]
    """Permissions that the caller holds."""


class RolePut(TypedDict):
    name: str
    """Unique in the tenant."""
    description: NotRequired[str]
    permissions: list[str]
    """Permissions that the caller holds."""


class RunningJob(TypedDict):
    id: str
    tenant_id: str
    kind: str
    attempt: int
    started_at: str
    progress: JobProgress | None


class Schedule(TypedDict):
    id: str
    name: str
    kind: str
    cron: str
    timezone: str
    missed: Literal["skip", "last", "all"]
    priority: int | None
    enabled: bool
    disabled_reason: Literal["paused", "principal_gone", "permission_denied", "invalid_payload", "payload_unreadable", "invalid_timing", "internal_error"] | None
    principal: str
    """On whose behalf its jobs run: whoever created, replaced or resumed it last."""
    next_at: str | None
    """The earliest period that was not fired yet."""
    last_fired_at: str | None
    """The latest period that was fired."""
    last_job_id: str | None
    """Its job, which may be past its retention."""
    created_at: str
    updated_at: str
    """When it was last edited."""


class ScheduleDetail(TypedDict):
    id: str
    name: str
    kind: str
    cron: str
    timezone: str
    missed: Literal["skip", "last", "all"]
    priority: int | None
    enabled: bool
    disabled_reason: Literal["paused", "principal_gone", "permission_denied", "invalid_payload", "payload_unreadable", "invalid_timing", "internal_error"] | None
    principal: str
    """On whose behalf its jobs run: whoever created, replaced or resumed it last."""
    next_at: str | None
    """The earliest period that was not fired yet."""
    last_fired_at: str | None
    """The latest period that was fired."""
    last_job_id: str | None
    """Its job, which may be past its retention."""
    created_at: str
    updated_at: str
    """When it was last edited."""
    payload: dict[str, Any] | None
    """Null if it cannot be opened any more."""
    next_firings: list[str]
    """The next 5; none while it rests."""


class SchedulePage(TypedDict):
    items: list[Schedule]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class SchedulePreview(TypedDict):
    cron: str
    """Minute, hour, day of the month, month, day of the week as crontab(5) writes them; or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`."""
    timezone: NotRequired[str]
    """IANA name of the zone whose wall clock counts."""
    count: NotRequired[int]
    """How many firings to show."""
    after: NotRequired[str | None]
    """Show what comes later than this, from 2000 to 2200; left out, than now."""


class SchedulePut(TypedDict):
    cron: str
    """Minute, hour, day of the month, month, day of the week as crontab(5) writes them; or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`."""
    timezone: NotRequired[str]
    """IANA name of the zone whose wall clock counts."""
    name: str
    """Unique in the tenant."""
    kind: str
    payload: NotRequired[dict[str, Any]]
    missed: NotRequired[Literal["skip", "last", "all"]]
    """What to do about periods that passed unfired for over a minute: nothing (`skip`), run once for the last of them (`last`), or run once for each (`all`)."""
    priority: NotRequired[int | None]
    """Of its jobs; null: the kind's own."""


class SearchAnswer(TypedDict):
    search_id: str
    took_ms: int
    partial: bool
    total: int
    hits: list[Hit]
    sources: list[SourceAnswer]
    next_cursor: str | None
    """Send it as `cursor` to `GET /search/{search_id}` for the next page; null on the last."""


class SearchIndexing(TypedDict):
    language: Literal["simple", "arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "finnish", "french", "german", "greek", "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian", "nepali", "norwegian", "portuguese", "romanian", "russian", "serbian", "spanish", "swedish", "tamil", "turkish", "yiddish"]
    embeds: bool
    model: str | None
    dimensions: int | None
    documents: int
    embedded: int
    waiting: int
    failed: int
    job_id: str | None


class SearchIndexingUpdate(TypedDict):
    language: NotRequired[Literal["simple", "arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "finnish", "french", "german", "greek", "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian", "nepali", "norwegian", "portuguese", "romanian", "russian", "serbian", "spanish", "swedish", "tamil", "turkish", "yiddish"]]
    embeds: NotRequired[bool]
    model: NotRequired[str | None]
    dimensions: NotRequired[int | None]


class SearchLog(TypedDict):
    id: str
    q: str
    log: Literal["off", "redacted", "full"]
    mode: Literal["keyword", "semantic", "hybrid"]
    principal: str
    sources: list[str]
    limit: int
    deadline_at: str
    created_at: str


class SearchLogPage(TypedDict):
    items: list[SearchLog]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class SearchQuery(TypedDict):
    q: str
    sources: NotRequired[list[str] | None]
    """Names of sources; null: all that are enabled."""
    mode: NotRequired[Literal["keyword", "semantic", "hybrid"]]
    filters: NotRequired[dict[str, Any]]
    limit: NotRequired[int]
    timeout_ms: NotRequired[int]


class SearchSource(TypedDict):
    name: str
    """As searches name it; unique in the tenant."""
    url: str
    """Where questions are posted to: public and HTTPS."""
    enabled: NotRequired[bool]
    """Whether it is asked at all."""
    weight: NotRequired[float]
    """How much its ranks count beside those of other sources."""
    timeout_ms: NotRequired[int]
    """How long it may take, if the search leaves it that long."""
    concurrency: NotRequired[int]
    """How many questions each worker asks it at once."""
    permission: NotRequired[str | None]
    """What a caller needs beside `search:create`; null: nothing."""
    header_name: NotRequired[str]
    """The header that carries the secret."""
    id: str
    secret_last_four: str | None
    """Null if there is no secret; empty if it is too short to show any of it."""
    created_at: str
    updated_at: str


class SearchSourcePage(TypedDict):
    items: list[SearchSource]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class SearchSourcePut(TypedDict):
    name: str
    """As searches name it; unique in the tenant."""
    url: str
    """Where questions are posted to: public and HTTPS."""
    enabled: NotRequired[bool]
    """Whether it is asked at all."""
    weight: NotRequired[float]
    """How much its ranks count beside those of other sources."""
    timeout_ms: NotRequired[int]
    """How long it may take, if the search leaves it that long."""
    concurrency: NotRequired[int]
    """How many questions each worker asks it at once."""
    permission: NotRequired[str | None]
    """What a caller needs beside `search:create`; null: nothing."""
    header_name: NotRequired[str]
    """The header that carries the secret."""
    secret: NotRequired[str | None]
    """The header's whole value. Sealed, and never shown."""


class Session(TypedDict):
    id: str
    tenant_id: str | None
    address: str
    user_agent: str
    current: bool
    """Whether this request belongs to it."""
    created_at: str
    expires_at: str


class SessionList(TypedDict):
    items: list[Session]
    next_cursor: str | None


class SigningKey(TypedDict):
    id: str
    state: Literal["shown", "signing", "verifying"]
    """Shown before it signs, signing, or verifying what it has signed."""
    created_at: str
    signs_from: str
    verifies_until: str | None
    """Null: no other has followed."""


class SigningKeyList(TypedDict):
    items: list[SigningKey]


class SourceAnswer(TypedDict):
    name: str
    status: Literal["ok", "pending", "timeout", "error", "skipped", "unauthorized"]
    took_ms: int | None
    hits: int
    error: str | None
    notes: list[str]


class Subscribe(TypedDict):
    plan_id: str
    name: str
    email: str
    timezone: NotRequired[str]
    """Counts at the first time only; name and address are those given last."""


class Subscription(TypedDict):
    id: str
    customer_id: str
    plan_id: str
    state: Literal["incomplete", "trialing", "active", "past_due", "canceled", "unpaid", "paused"]
    anchor_at: str
    periods_billed: int
    next_cycle_at: str
    cancel_at: str | None
    canceled_at: str | None
    created_at: str
    available_actions: list[Literal["change_plan", "pause", "resume", "cancel", "keep"]]


class SubscriptionCancel(TypedDict):
    at: NotRequired[Literal["now", "period_end"]]


class SubscriptionCreate(TypedDict):
    customer_id: str
    plan_id: str
    anchor_at: NotRequired[str | None]


class SubscriptionPage(TypedDict):
    items: list[Subscription]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class SubscriptionPlan(TypedDict):
    plan_id: str


class Suppression(TypedDict):
    channel: Literal["email", "sms"]
    address: str
    category: NotRequired[str]
    reason: NotRequired[Literal["hard_bounce", "complaint", "stop", "manual", "unsubscribe"]]
    id: str
    message_id: str | None
    created_at: str


class SuppressionCreate(TypedDict):
    channel: Literal["email", "sms"]
    address: str
    category: NotRequired[str]
    reason: NotRequired[Literal["hard_bounce", "complaint", "stop", "manual", "unsubscribe"]]


class SuppressionPage(TypedDict):
    items: list[Suppression]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class Switch(TypedDict):
    tenant_id: str


class Target(TypedDict):
    provider: Literal["nexus", "openai", "anthropic", "openai_compatible"]
    model: str | None
    """Where the caller names none."""
    base_url: str | None
    api_key_last_four: str | None


class TargetUpdate(TypedDict):
    provider: Literal["nexus", "openai", "anthropic", "openai_compatible"]
    model: NotRequired[str | None]
    base_url: NotRequired[str | None]
    """Of an `openai_compatible` server."""
    api_key: NotRequired[str | None]


class Template(TypedDict):
    id: str
    key: str
    category: str
    default_locale: str
    version: int
    created_at: str
    updated_at: str


class TemplateCreate(TypedDict):
    category: NotRequired[str]
    default_locale: NotRequired[str]
    """Used where there is no variant in the recipient's language."""
    variants: list[Variant]
    key: str


class TemplateDetail(TypedDict):
    id: str
    key: str
    category: str
    default_locale: str
    version: int
    created_at: str
    updated_at: str
    number: int
    """The version that is shown."""
    variants: list[Variant]
    variables: list[str]
    """Names that the data must hold."""


class TemplatePage(TypedDict):
    items: list[Template]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class TemplatePreview(TypedDict):
    channel: NotRequired[Literal["email", "sms", "push", "in_app"]]
    locale: NotRequired[str]
    number: NotRequired[int | None]
    data: NotRequired[dict[str, Any]]


class TemplatePut(TypedDict):
    category: NotRequired[str]
    default_locale: NotRequired[str]
    """Used where there is no variant in the recipient's language."""
    variants: list[Variant]


class TemplateVersion(TypedDict):
    number: int
    variables: list[str]
    created_at: str


class TemplateVersionList(TypedDict):
    items: list[TemplateVersion]


class Tenant(TypedDict):
    id: str
    name: str
    tier: Literal["dedicated", "pooled", "external"]
    state: Literal["provisioning", "active", "suspended", "migrating", "failed", "deleting"]
    failure: str | None
    """Why it could not be made: an error's code and what followed. Null unless `failed`; replaying the job that provisions it begins anew."""
    is_operator: bool
    """Whether it is the platform's own tenant."""
    created_at: str


class TenantActivity(TypedDict):
    id: str
    name: str
    running: int
    """Jobs that workers tell of."""
    attempts: int
    """Since ever: two looks tell how fast it grows."""
    busy_seconds: float
    """What they took together."""


class TenantChangeTier(TypedDict):
    tier: Literal["dedicated"]


class TenantCreate(TypedDict):
    name: str
    database: NotRequired[OwnServer | None]
    """For the tier `external` only."""
    bucket: NotRequired[OwnBucket | None]
    """For the tier `external`; without one the objects are in the platform's."""
    tier: NotRequired[Literal["dedicated", "pooled", "external"] | None]
    """Own database, shared one, or on the tenant's own server; unset: the platform's default."""


class TenantJob(TypedDict):
    id: str
    kind: str
    queue: str
    state: Literal["scheduled", "queued", "running", "retrying", "succeeded", "failed", "cancelled"]
    attempt: int
    """Attempts begun so far."""
    max_attempts: int
    progress: JobProgress | None
    result: Any
    """Any JSON, as the kind defines it."""
    error: JobError | None
    priority: int
    unique_key: str | None
    parent_id: str | None
    replay_of: str | None
    """The job that this one repeats."""
    webhook_endpoint_id: str | None
    """The endpoint that was named to hear of its end."""
    cancel_requested: bool
    created_at: str
    run_at: str | None
    """When it was, or will next be, due; null while it waits for other jobs."""
    started_at: str | None
    finished_at: str | None
    expires_at: str | None
    """Until when it can be read."""
    links: JobLinks
    tenant_id: str


class TenantPage(TypedDict):
    items: list[Tenant]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class TenantRestore(TypedDict):
    archive_id: str
    """An archive of this tenant, exported or uploaded."""


class TenantSettings(TypedDict):
    locale: NotRequired[str]
    """Language, script and region as BCP 47 writes them."""
    timezone: NotRequired[str]
    """An IANA time zone."""
    provider_fallback: NotRequired[bool]
    """Whether a request that its first provider cannot answer may go to another."""
    backups: NotRequired[bool]
    """Whether scheduled backups take in this tenant."""
    search_log: NotRequired[Literal["off", "redacted", "full"]]
    """What the query log keeps of a question."""
    search_log_days: NotRequired[int]
    """For how long searches and their answers can be read."""


class TenantUpdate(TypedDict):
    name: str


class Tokens(TypedDict):
    access_token: str
    """A JWT; send it as `Authorization: Bearer`."""
    token_type: Literal["Bearer"]
    expires_in: int
    """Seconds that the access token is good for."""
    refresh_token: str
    """Shown once."""
    session_id: str
    tenant_id: str | None
    """The only tenant that the tokens reach, if bound."""


Usage = TypedDict(
    "Usage",
    {
        "from": "str",
        "to": "str",
        "currency": "str",
        "items": "list[UsageTotal]",
    },
)


class UsageEvent(TypedDict):
    id: str
    transaction_id: str
    customer_id: str
    code: str
    timestamp: str
    properties: dict[str, Any]
    source_type: str | None
    source_id: str | None
    created_at: str


class UsageEventCreate(TypedDict):
    transaction_id: str
    customer_id: str
    code: str
    """The meter's."""
    timestamp: NotRequired[str | None]
    """When it was used; left out, now."""
    properties: NotRequired[dict[str, Any]]


class UsageEventPage(TypedDict):
    items: list[UsageEvent]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class UsageEventsCreate(TypedDict):
    events: list[UsageEventCreate]


class UsageEventsCreated(TypedDict):
    created: int
    duplicates: int


class UsageSummary(TypedDict):
    code: str
    name: str
    quantity: float
    period_start: str
    period_end: str


class UsageSummaryList(TypedDict):
    items: list[UsageSummary]


class UsageTotal(TypedDict):
    day: str
    provider: str
    model: str
    key_source: str
    principal: str | None
    """Null unless totalled by it."""
    calls: int
    failed_calls: int
    unpriced_calls: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost_micros: int


class User(TypedDict):
    id: str
    email: str
    name: str
    is_operator: bool
    """Whether the account runs the platform."""
    email_verified: bool
    """Whether its owner has shown that the address is theirs."""
    created_at: str


class Variant(TypedDict):
    channel: Literal["email", "sms", "push", "in_app"]
    locale: NotRequired[str]
    subject: NotRequired[str | None]
    text: str
    html: NotRequired[str | None]


class Wave(TypedDict):
    id: str
    target: str
    """The revision."""
    state: Literal["running", "paused", "stopped", "finished"]
    reason: str | None
    """Why it stopped."""
    canaries: list[str]
    databases: int | None
    """How many were behind when it began."""
    started_by: str
    job_id: str | None
    """The job that drives it."""
    created_at: str
    finished_at: str | None
    failures: list[WaveFailure]
    """Up to 100."""


class WaveCreate(TypedDict):
    canaries: NotRequired[list[str]]
    """Without any, the oldest tenant with a database of its own is the canary."""


class WaveFailure(TypedDict):
    tenant_id: str
    """The tenant, or one of those who share it."""
    database: str
    stage: str
    code: Literal["lock_timeout", "migration_failed", "unreachable"]
    detail: str
    created_at: str


class WebPushKeys(TypedDict):
    p256dh: str
    auth: str


class WebhookAttempt(TypedDict):
    number: int
    started_at: str
    finished_at: str | None
    duration_ms: int | None
    response_status: int | None
    error_code: str | None
    """Why there was no answer."""
    response_body: str | None
    """Its beginning, at most 4096 bytes."""


class WebhookDelivery(TypedDict):
    id: str
    endpoint_id: str
    event_id: str
    """Also the `webhook-id` of every attempt."""
    event_type: str
    job_id: str
    """The job that makes the attempts."""
    redelivery_of: str | None
    state: Literal["pending", "delivered", "failed", "cancelled"]
    attempts: int
    """Attempts begun so far."""
    response_status: int | None
    """Of the last attempt, if it was answered."""
    next_attempt_at: str | None
    created_at: str
    finished_at: str | None


class WebhookDeliveryDetail(TypedDict):
    id: str
    endpoint_id: str
    event_id: str
    """Also the `webhook-id` of every attempt."""
    event_type: str
    job_id: str
    """The job that makes the attempts."""
    redelivery_of: str | None
    state: Literal["pending", "delivered", "failed", "cancelled"]
    attempts: int
    """Attempts begun so far."""
    response_status: int | None
    """Of the last attempt, if it was answered."""
    next_attempt_at: str | None
    created_at: str
    finished_at: str | None
    history: list[WebhookAttempt]


class WebhookDeliveryPage(TypedDict):
    items: list[WebhookDelivery]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class WebhookEndpoint(TypedDict):
    id: str
    url: str
    event_types: list[str]
    description: str
    enabled: bool
    disabled_reason: Literal["by_request", "gone", "failing"] | None
    """`gone`: the receiver answered 410. `failing`: nothing was delivered for five days."""
    disabled_at: str | None
    failing_since: str | None
    """The first failure since the last delivery."""
    previous_secret_until: str | None
    """Until when the secret before signs too."""
    created_at: str


class WebhookEndpointCreate(TypedDict):
    url: str
    """`https://`, on the internet, without credentials."""
    event_types: list[Literal["*", "tenant.*", "job.*", "notification.*", "completion.*", "search.*", "invoice.*", "quota.*", "webhook_endpoint.*", "webhook.*", "tenant.provisioned", "job.succeeded", "job.failed", "job.cancelled", "notification.sent", "completion.created", "search.requested", "invoice.finalised", "invoice.paid", "invoice.payment_failed", "quota.reached", "webhook_endpoint.disabled", "webhook.test"]]
    """`*`, all of a resource (`job.*`), or single types. An empty list: only jobs that name the endpoint."""
    description: NotRequired[str]
    enabled: NotRequired[bool]


class WebhookEndpointPage(TypedDict):
    items: list[WebhookEndpoint]
    next_cursor: str | None
    """Send it as `cursor` to get the next page; null on the last."""


class WebhookEndpointSecret(TypedDict):
    id: str
    url: str
    event_types: list[str]
    description: str
    enabled: bool
    disabled_reason: Literal["by_request", "gone", "failing"] | None
    """`gone`: the receiver answered 410. `failing`: nothing was delivered for five days."""
    disabled_at: str | None
    failing_since: str | None
    """The first failure since the last delivery."""
    previous_secret_until: str | None
    """Until when the secret before signs too."""
    created_at: str
    secret: str
    """Shown this once."""


class WebhookReceived(TypedDict):
    received: bool


class Worker(TypedDict):
    id: str
    name: str
    queues: list[str]
    slots: int
    """Jobs that it can run at once."""
    running: int
    """Jobs that it holds."""
    jobs: list[RunningJob]
    """The oldest of them, at most 20."""
    pid: int
    started_at: str
    heartbeat_at: str
    heartbeat_age_seconds: float
    last_claim_at: str | None
    """Exact to a second; null before the first claim."""
    stopping: bool
    """It finishes what it holds and takes no more."""


class WorkerList(TypedDict):
    items: list[Worker]
