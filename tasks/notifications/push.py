"""A broadcast's push message is one for each person, and goes to each of the person's devices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from uuid import UUID

from sqlalchemy import func, select, update

from domain.errors import JobError, Permanent, Transient, UnknownOutcome
from jobs.context import JobContext
from models.tenant import RecipientDevice
from providers.accounts import Account
from providers.calls import Calling
from providers.circuits import process_circuits
from providers.messages import SentMessage
from tasks.notifications.accounts import worst
from tasks.notifications.content import Content, outgoing
from tasks.notifications.journal import Due
from tasks.notifications.routes import Answer, Said


class Devices:
    """Each device by the first account that serves its kind. A message is sent when one device has it."""

    doubtful = False

    def __init__(self, context: JobContext, accounts: Sequence[Account]):
        if not accounts:
            raise Permanent("No provider serves the channel.", code="no_provider")
        self._context, self._accounts = context, accounts
        self.label = accounts[0].label

    def send(self, window: Iterable[Said]) -> Iterator[Answer]:
        """Stops when the job is cancelled."""
        said = list(window)
        devices = self._devices([due.recipient.id for due, _ in said])
        gone: list[UUID] = []
        try:
            for due, content in said:
                if self._context.cancelled:
                    return
                yield self._one(due, content, devices.get(due.recipient.id, ()), gone)
        finally:
            self._forget(gone)

    def _one(self, due: Due, content: Content, devices: Sequence[RecipientDevice], gone: list[UUID]) -> Answer:
        answers: list[Answer] = []
        for device in devices:
            answers.append(self._to(due, content, device))
            if isinstance(answers[-1], JobError) and answers[-1].job_code == "device_gone":
                gone.append(device.id)
        sent = [answer for answer in answers if isinstance(answer, SentMessage)]
        if sent:
            return SentMessage(sent[0].provider, sent[0].provider_id, f"{len(sent)} of {len(devices)} devices")
        errors = [answer for answer in answers if isinstance(answer, JobError)]
        doubts = [error for error in errors if isinstance(error, UnknownOutcome)]
        if doubts:
            return doubts[0]
        return worst(errors) if errors else Permanent("The person has no device any more.", code="device_gone")

    def _to(self, due: Due, content: Content, device: RecipientDevice) -> Answer:
        account = next((each for each in self._accounts if each.device in {None, device.kind}), None)
        if account is None:
            return Permanent(f"No provider serves {device.kind}.", code="no_provider")
        circuit = process_circuits().get(account.circuit)
        if circuit.remaining():
            return Transient(
                f"{account.label} kept failing and is left alone for a while.", code="provider_circuit_open"
            )
        vault = self._context.tenancy.vault(self._context.tenant_id)
        target = vault.open(device.target_sealed, "recipient_devices", "target_sealed", device.id).decode()
        message = outgoing(self._context, account, "push", due.message_id, target, content, one_click=False)
        try:
            with Calling(account.type, "send", quiet=True):
                answer = account.provider.send(message)
        except JobError as error:
            circuit.note(error)
            return error
        circuit.note(None)
        return answer

    def _devices(self, people: Sequence[UUID]) -> dict[UUID, list[RecipientDevice]]:
        found: dict[UUID, list[RecipientDevice]] = {}
        where = RecipientDevice.tenant_id == self._context.tenant_id, RecipientDevice.recipient_id.in_(people)
        with self._context.session() as session:
            for device in session.scalars(select(RecipientDevice).where(*where, RecipientDevice.gone_at.is_(None))):
                found.setdefault(device.recipient_id, []).append(device)
        return found

    def _forget(self, gone: Sequence[UUID]) -> None:
        if not gone:
            return
        where = RecipientDevice.tenant_id == self._context.tenant_id, RecipientDevice.id.in_(gone)
        with self._context.session() as session:
            session.execute(update(RecipientDevice).where(*where).values(gone_at=func.now()))
