"""The API's `notifications`. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from nexus_client.api import models
from nexus_client.pages import items
from nexus_client.transport import Transport, segment


class Notifications:
    """The operations whose path begins with `notifications`."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def create_broadcast(self, body: models.NotificationBroadcast, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Send a message to every recipient of an audience. 422 if there is nobody in it.

        A template is used in the version that it has now. Recipients who come later are not written to.

        Needs the permission `notification:create`.
        """
        answer: models.Job = self._transport.send("POST", "/api/v1/notifications/broadcast", query={"wait": wait}, body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_broadcasts(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None, channel: Literal["email", "sms", "in_app"] | None = None) -> models.BroadcastPage:
        """List the tenant's broadcasts. Whether one has finished, reading it tells.

        Needs the permission `notification:read`.
        """
        answer: models.BroadcastPage = self._transport.send("GET", "/api/v1/notifications/broadcasts", query={"limit": limit, "cursor": cursor, "sort": sort, "channel": channel})
        return answer

    def iterate_broadcasts(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None, channel: Literal["email", "sms", "in_app"] | None = None) -> Iterator[models.Broadcast]:
        """Every item of `list_broadcasts`, page after page."""
        return items(lambda cursor: self.list_broadcasts(limit=limit, sort=sort, channel=channel, cursor=cursor))

    def get_broadcast(self, broadcast_id: str, /) -> models.BroadcastDetail:
        """Read a broadcast with what became of its messages so far.

        Needs the permission `notification:read`.
        """
        answer: models.BroadcastDetail = self._transport.send("GET", f"/api/v1/notifications/broadcasts/{segment(broadcast_id)}")
        return answer

    def pause_broadcast(self, broadcast_id: str, /) -> models.BroadcastDetail:
        """Stop sending. The handful of messages that each batch has claimed still goes out.

        Needs the permission `notification:cancel`.
        """
        answer: models.BroadcastDetail = self._transport.send("POST", f"/api/v1/notifications/broadcasts/{segment(broadcast_id)}/pause")
        return answer

    def resume_broadcast(self, broadcast_id: str, /) -> models.BroadcastDetail:
        """Go on sending, within seconds.

        Needs the permission `notification:create`.
        """
        answer: models.BroadcastDetail = self._transport.send("POST", f"/api/v1/notifications/broadcasts/{segment(broadcast_id)}/resume")
        return answer

    def cancel_broadcast(self, broadcast_id: str, /) -> models.BroadcastDetail:
        """Stop for good. What was sent stays sent; nobody else is written to. Cancelling twice is the same as once.

        Needs the permission `notification:cancel`.
        """
        answer: models.BroadcastDetail = self._transport.send("POST", f"/api/v1/notifications/broadcasts/{segment(broadcast_id)}/cancel")
        return answer

    def get_notification_settings(self) -> models.NotificationSettings:
        """Read the tenant's defaults.

        Needs the permission `notification_provider:read`.
        """
        answer: models.NotificationSettings = self._transport.send("GET", "/api/v1/notifications/settings")
        return answer

    def put_notification_settings(self, body: models.NotificationSettings, /, *, if_match: Mapping[str, Any] | str) -> models.NotificationSettings:
        """Replace the tenant's defaults. They hold for every message that is decided from now on.

        Needs the permission `notification_provider:update`.
        """
        answer: models.NotificationSettings = self._transport.send("PUT", "/api/v1/notifications/settings", body=body, if_match=if_match)
        return answer

    def get_preferences(self, recipient: str, /) -> models.Preferences:
        """Read what a recipient has chosen.

        Needs the permission `notification:read`.
        """
        answer: models.Preferences = self._transport.send("GET", f"/api/v1/notifications/preferences/{segment(recipient)}")
        return answer

    def put_preferences(self, recipient: str, body: models.Preferences, /, *, if_match: Mapping[str, Any] | str) -> models.Preferences:
        """Replace what a recipient has chosen. It holds for every message that is decided from now on.

        Needs the permission `notification:update`.
        """
        answer: models.Preferences = self._transport.send("PUT", f"/api/v1/notifications/preferences/{segment(recipient)}", body=body, if_match=if_match)
        return answer

    def list_suppressions(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None, channel: Literal["email", "sms"] | None = None, address: str | None = None, reason: Literal["hard_bounce", "complaint", "stop", "manual", "unsubscribe"] | None = None) -> models.SuppressionPage:
        """List addresses that are not written to.

        Needs the permission `notification:read`.
        """
        answer: models.SuppressionPage = self._transport.send("GET", "/api/v1/notifications/suppressions", query={"limit": limit, "cursor": cursor, "sort": sort, "channel": channel, "address": address, "reason": reason})
        return answer

    def iterate_suppressions(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None, channel: Literal["email", "sms"] | None = None, address: str | None = None, reason: Literal["hard_bounce", "complaint", "stop", "manual", "unsubscribe"] | None = None) -> Iterator[models.Suppression]:
        """Every item of `list_suppressions`, page after page."""
        return items(lambda cursor: self.list_suppressions(limit=limit, sort=sort, channel=channel, address=address, reason=reason, cursor=cursor))

    def create_suppression(self, body: models.SuppressionCreate, /, *, idempotency_key: str | None = None) -> models.Suppression:
        """Write to an address no more. One that is there already is answered with.

        Needs the permission `notification:update`.
        """
        answer: models.Suppression = self._transport.send("POST", "/api/v1/notifications/suppressions", body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def delete_suppression(self, suppression_id: str, /) -> None:
        """Lift a suppression.

        Needs the permission `notification:update`.
        """
        self._transport.send("DELETE", f"/api/v1/notifications/suppressions/{segment(suppression_id)}")

    def get_notification_providers(self) -> models.NotificationProviderList:
        """Read the tenant's provider accounts, in the order in which they are asked. At most 50.

        Needs the permission `notification_provider:read`.
        """
        answer: models.NotificationProviderList = self._transport.send("GET", "/api/v1/notifications/providers")
        return answer

    def put_notification_providers(self, body: models.NotificationProviderListPut, /, *, if_match: Mapping[str, Any] | str) -> models.NotificationProviderList:
        """Replace the tenant's provider accounts. A secret that is left out stays as it is, if the account keeps its type.

        Needs the permission `notification_provider:update`.
        """
        answer: models.NotificationProviderList = self._transport.send("PUT", "/api/v1/notifications/providers", body=body, if_match=if_match)
        return answer

    def list_recipients(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None, email: str | None = None, phone: str | None = None) -> models.RecipientPage:
        """List the people whom the tenant writes to.

        Needs the permission `notification:read`.
        """
        answer: models.RecipientPage = self._transport.send("GET", "/api/v1/notifications/recipients", query={"limit": limit, "cursor": cursor, "sort": sort, "email": email, "phone": phone})
        return answer

    def iterate_recipients(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None, email: str | None = None, phone: str | None = None) -> Iterator[models.Recipient]:
        """Every item of `list_recipients`, page after page."""
        return items(lambda cursor: self.list_recipients(limit=limit, sort=sort, email=email, phone=phone, cursor=cursor))

    def put_recipients(self, body: models.RecipientBulk, /) -> models.RecipientBulkResult:
        """Create or replace up to 1000 recipients, all or none. Of one that stands there twice, the last counts.

        Needs the permission `notification:update`.
        """
        answer: models.RecipientBulkResult = self._transport.send("POST", "/api/v1/notifications/recipients/bulk", body=body)
        return answer

    def put_recipient(self, external_id: str, body: models.RecipientPut, /) -> models.Recipient:
        """Create or replace a recipient under your own name for the person. Preferences and devices stay.

        Needs the permission `notification:update`.
        """
        answer: models.Recipient = self._transport.send("PUT", f"/api/v1/notifications/recipients/{segment(external_id)}", body=body)
        return answer

    def get_recipient(self, external_id: str, /) -> models.Recipient:
        """Read a recipient.

        Needs the permission `notification:read`.
        """
        answer: models.Recipient = self._transport.send("GET", f"/api/v1/notifications/recipients/{segment(external_id)}")
        return answer

    def delete_recipient(self, external_id: str, /) -> None:
        """Delete a recipient.

        Needs the permission `notification:update`.
        """
        self._transport.send("DELETE", f"/api/v1/notifications/recipients/{segment(external_id)}")

    def list_devices(self, external_id: str, /, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.DevicePage:
        """List a recipient's devices.

        Needs the permission `notification:read`.
        """
        answer: models.DevicePage = self._transport.send("GET", f"/api/v1/notifications/recipients/{segment(external_id)}/devices", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_devices(self, external_id: str, /, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.Device]:
        """Every item of `list_devices`, page after page."""
        return items(lambda cursor: self.list_devices(external_id, limit=limit, sort=sort, cursor=cursor))

    def create_device(self, external_id: str, body: models.DeviceCreate, /, *, idempotency_key: str | None = None) -> models.Device:
        """Add a device. One that is there already is answered with, and gets messages again if it had unsubscribed.

        Needs the permission `notification:update`.
        """
        answer: models.Device = self._transport.send("POST", f"/api/v1/notifications/recipients/{segment(external_id)}/devices", body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def delete_device(self, external_id: str, device_id: str, /) -> None:
        """Remove a device.

        Needs the permission `notification:update`.
        """
        self._transport.send("DELETE", f"/api/v1/notifications/recipients/{segment(external_id)}/devices/{segment(device_id)}")

    def list_feed(self, external_id: str, /, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None, unread: bool | None = None) -> models.NotificationPage:
        """List a recipient's feed, newest first unless asked otherwise. Listing marks nothing as seen.

        Needs the permission `notification:read`.
        """
        answer: models.NotificationPage = self._transport.send("GET", f"/api/v1/notifications/recipients/{segment(external_id)}/feed", query={"limit": limit, "cursor": cursor, "sort": sort, "unread": unread})
        return answer

    def iterate_feed(self, external_id: str, /, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None, unread: bool | None = None) -> Iterator[models.Notification]:
        """Every item of `list_feed`, page after page."""
        return items(lambda cursor: self.list_feed(external_id, limit=limit, sort=sort, unread=unread, cursor=cursor))

    def count_feed(self, external_id: str, /) -> models.FeedCount:
        """Count what waits in a recipient's feed.

        Needs the permission `notification:read`.
        """
        answer: models.FeedCount = self._transport.send("GET", f"/api/v1/notifications/recipients/{segment(external_id)}/feed/counts")
        return answer

    def read_feed(self, external_id: str, /) -> models.FeedCount:
        """Mark all of a recipient's feed as read.

        Needs the permission `notification:update`.
        """
        answer: models.FeedCount = self._transport.send("POST", f"/api/v1/notifications/recipients/{segment(external_id)}/feed/read")
        return answer

    def create_template(self, body: models.TemplateCreate, /, *, idempotency_key: str | None = None) -> models.TemplateDetail:
        """Create a template, whose first version this is. 409 if the key is taken.

        Needs the permission `notification_template:create`.
        """
        answer: models.TemplateDetail = self._transport.send("POST", "/api/v1/notifications/templates", body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_templates(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.TemplatePage:
        """List the tenant's templates.

        Needs the permission `notification_template:read`.
        """
        answer: models.TemplatePage = self._transport.send("GET", "/api/v1/notifications/templates", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_templates(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.Template]:
        """Every item of `list_templates`, page after page."""
        return items(lambda cursor: self.list_templates(limit=limit, sort=sort, cursor=cursor))

    def get_template(self, template_id: str, /, *, number: int | None = None) -> models.TemplateDetail:
        """Read a template in its present version, or in another.

        Needs the permission `notification_template:read`.
        """
        answer: models.TemplateDetail = self._transport.send("GET", f"/api/v1/notifications/templates/{segment(template_id)}", query={"number": number})
        return answer

    def put_template(self, template_id: str, body: models.TemplatePut, /, *, if_match: Mapping[str, Any] | str) -> models.TemplateDetail:
        """Make a new version. Messages that name no version use it from now on; older versions stay.

        Needs the permission `notification_template:update`.
        """
        answer: models.TemplateDetail = self._transport.send("PUT", f"/api/v1/notifications/templates/{segment(template_id)}", body=body, if_match=if_match)
        return answer

    def delete_template(self, template_id: str, /) -> None:
        """Delete a template with its versions.

        Needs the permission `notification_template:delete`.
        """
        self._transport.send("DELETE", f"/api/v1/notifications/templates/{segment(template_id)}")

    def list_template_versions(self, template_id: str, /) -> models.TemplateVersionList:
        """List a template's newest 200 versions.

        Needs the permission `notification_template:read`.
        """
        answer: models.TemplateVersionList = self._transport.send("GET", f"/api/v1/notifications/templates/{segment(template_id)}/versions")
        return answer

    def preview_template(self, template_id: str, body: models.TemplatePreview, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Render a template with data, sending nothing. Add `?wait=10` to get the result at once.

        422 if the data lacks a variable, or if nothing is said for that channel and locale.

        Needs the permission `notification_template:read`.
        """
        answer: models.Job = self._transport.send("POST", f"/api/v1/notifications/templates/{segment(template_id)}/preview", query={"wait": wait}, body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def send_notification(self, body: models.NotificationRequest, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Send a message to one address, or a notification to several people.

        With `to` it answers with the job that delivers the message, which has the job's id. With `recipients` it answers with the
        job that makes a message for each person and channel; its result names them. Repeating the request with the same
        `Idempotency-Key` answers with the same job and sends nothing twice.

        Needs the permission `notification:create`.
        """
        answer: models.Job = self._transport.send("POST", "/api/v1/notifications/send", query={"wait": wait}, body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_notifications(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None, status: Literal["queued", "sent", "delivered", "delivery_attempted", "undelivered", "not_sent", "bounced", "unknown"] | None = None, channel: Literal["email", "sms", "push", "in_app"] | None = None, recipient: str | None = None, notification_id: str | None = None) -> models.NotificationPage:
        """List the tenant's notifications, newest first unless asked otherwise.

        Needs the permission `notification:read`.
        """
        answer: models.NotificationPage = self._transport.send("GET", "/api/v1/notifications/history", query={"limit": limit, "cursor": cursor, "sort": sort, "status": status, "channel": channel, "recipient": recipient, "notification_id": notification_id})
        return answer

    def iterate_notifications(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None, status: Literal["queued", "sent", "delivered", "delivery_attempted", "undelivered", "not_sent", "bounced", "unknown"] | None = None, channel: Literal["email", "sms", "push", "in_app"] | None = None, recipient: str | None = None, notification_id: str | None = None) -> Iterator[models.Notification]:
        """Every item of `list_notifications`, page after page."""
        return items(lambda cursor: self.list_notifications(limit=limit, sort=sort, status=status, channel=channel, recipient=recipient, notification_id=notification_id, cursor=cursor))

    def explain_notification(self, body: models.DeliveryQuestion, /) -> models.DeliveryExplanation:
        """Tell whether a message would be sent, and which rule decides. Sends nothing.

        Needs the permission `notification:read`.
        """
        answer: models.DeliveryExplanation = self._transport.send("POST", "/api/v1/notifications/explain", body=body)
        return answer

    def get_notification(self, notification_id: str, /) -> models.NotificationDetail:
        """Read a message with its attempts and its timeline.

        It can be read as soon as it was accepted: until a worker takes it up, it is `queued` and has no attempts.

        Needs the permission `notification:read`.
        """
        answer: models.NotificationDetail = self._transport.send("GET", f"/api/v1/notifications/{segment(notification_id)}")
        return answer

    def cancel_notification(self, notification_id: str, /) -> models.NotificationDetail:
        """Cancel a message that no provider has been asked about yet. Cancelling twice is the same as once.

        409 if it is too late: a provider has it, or may have.

        Needs the permission `notification:cancel`.
        """
        answer: models.NotificationDetail = self._transport.send("POST", f"/api/v1/notifications/{segment(notification_id)}/cancel")
        return answer

    def note_engagement(self, notification_id: str, body: models.Engagement, /) -> models.NotificationDetail:
        """Note that a message was seen, read or clicked. Each moment is kept as it was first told.

        Needs the permission `notification:update`.
        """
        answer: models.NotificationDetail = self._transport.send("POST", f"/api/v1/notifications/{segment(notification_id)}/engagement", body=body)
        return answer
