"""The platform database's tables. Importing this package registers them all."""

from models.base import PlatformBase
from models.platform.api_keys import ApiKey
from models.platform.audit import AuditAnchor, AuditEntry, AuditSeal, AuditUnsealed
from models.platform.dispatch import DispatchPause, TenantLimits
from models.platform.events import Event
from models.platform.external_events import ExternalEvent
from models.platform.fleet import FleetFailure, FleetWave
from models.platform.groups import Group, GroupMember, GroupRole, Permission
from models.platform.idempotent_requests import IdempotentRequest
from models.platform.identity_links import IdentityLink
from models.platform.invitations import Invitation
from models.platform.job_families import JobDependency, JobWait
from models.platform.jobs import Job, JobKey
from models.platform.login_throttles import LoginThrottle
from models.platform.memberships import Membership, MembershipRole, Role, RolePermission
from models.platform.plan_allowances import PlanAllowance
from models.platform.readings import BudgetStanding, Process, Reading
from models.platform.schedules import Schedule
from models.platform.second_factors import SecondFactor
from models.platform.sessions import RefreshToken, Session
from models.platform.signing_keys import SigningKey
from models.platform.tenant_life import ErasureCertificate, TenantArchive, TenantQuotas, TenantUsage
from models.platform.tenants import MasterKey, Tenant, TenantKey
from models.platform.users import User
from models.platform.webhook_endpoints import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from models.platform.workers import KindRuntime, Leader, QueueBacklog, TenantRuntime, Worker, WorkerJobs

__all__ = [
    "ApiKey", "AuditAnchor", "AuditEntry", "AuditSeal", "AuditUnsealed", "BudgetStanding", "DispatchPause", "ErasureCertificate",
    "Event", "ExternalEvent", "FleetFailure", "FleetWave", "Group", "GroupMember", "GroupRole", "IdempotentRequest",
    "IdentityLink", "Invitation", "Job", "JobDependency", "JobKey", "JobWait", "KindRuntime", "Leader",
    "LoginThrottle", "MasterKey", "Membership", "MembershipRole", "Permission", "PlanAllowance", "PlatformBase", "Process", "QueueBacklog",
    "Reading", "RefreshToken", "Role", "RolePermission", "Schedule", "SecondFactor", "Session", "SigningKey", "Tenant",
    "TenantArchive", "TenantKey", "TenantLimits", "TenantQuotas", "TenantRuntime", "TenantUsage", "User",
    "WebhookAttempt", "WebhookDelivery", "WebhookEndpoint", "Worker", "WorkerJobs",
]  # fmt: skip
