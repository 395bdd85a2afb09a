"""All parts of the API. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from nexus_client.api.admin import Admin
from nexus_client.api.api_keys import ApiKeys
from nexus_client.api.audit import Audit
from nexus_client.api.auth import Auth
from nexus_client.api.authz import Authz
from nexus_client.api.billing import Billing
from nexus_client.api.events import Events
from nexus_client.api.groups import Groups
from nexus_client.api.health import Health
from nexus_client.api.jobs import Jobs
from nexus_client.api.llm import Llm
from nexus_client.api.merchant import Merchant
from nexus_client.api.notifications import Notifications
from nexus_client.api.permissions import Permissions
from nexus_client.api.roles import Roles
from nexus_client.api.schedules import Schedules
from nexus_client.api.search import Search
from nexus_client.api.tenants import Tenants
from nexus_client.api.users import Users
from nexus_client.api.webhook_endpoints import WebhookEndpoints
from nexus_client.api.well_known import WellKnown
from nexus_client.transport import Transport


class Resources:
    """An attribute for each part of the API."""

    def __init__(self, transport: Transport):
        self.transport = transport
        self.admin = Admin(transport)
        self.api_keys = ApiKeys(transport)
        self.audit = Audit(transport)
        self.auth = Auth(transport)
        self.authz = Authz(transport)
        self.billing = Billing(transport)
        self.events = Events(transport)
        self.groups = Groups(transport)
        self.health = Health(transport)
        self.jobs = Jobs(transport)
        self.llm = Llm(transport)
        self.merchant = Merchant(transport)
        self.notifications = Notifications(transport)
        self.permissions = Permissions(transport)
        self.roles = Roles(transport)
        self.schedules = Schedules(transport)
        self.search = Search(transport)
        self.tenants = Tenants(transport)
        self.users = Users(transport)
        self.webhook_endpoints = WebhookEndpoints(transport)
        self.well_known = WellKnown(transport)
