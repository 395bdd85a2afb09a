"""The API's `auth`. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from nexus_client.api import models
from nexus_client.transport import Transport, segment


class Auth:
    """The operations whose path begins with `auth`."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def register(self, body: models.Register, /) -> models.User:
        """Make an account. A mail asks to verify its address.

        It belongs to no tenant yet: sign in and create one, or be invited. Where the platform asks for verified addresses,
        creating and inviting take one; signing in does not.
        """
        answer: models.User = self._transport.send("POST", "/api/v1/auth/register", body=body)
        return answer

    def login(self, body: models.Login, /) -> models.Tokens:
        """Sign in.

        An unknown email and a wrong password answer the same, after the same work. Five failures in a row lock an email, whether
        an account has it or not, for 30 seconds, each further one for twice as long, up to 15 minutes; many failures from one
        address lock that. An account with a second factor answers `mfa_required` to the right password: send it again with
        `code`, which is good once.
        """
        answer: models.Tokens = self._transport.send("POST", "/api/v1/auth/login", body=body)
        return answer

    def refresh(self, body: models.Refresh, /) -> models.Tokens:
        """Exchange a refresh token for new tokens.

        Each is good for one exchange, 30 days long. One that is used again revokes its session, since someone else may hold
        it; only the token used last is answered again for 10 seconds, for clients that lost the answer.
        """
        answer: models.Tokens = self._transport.send("POST", "/api/v1/auth/refresh-token", body=body)
        return answer

    def logout(self) -> None:
        """End this session. Its tokens stop working at once."""
        self._transport.send("POST", "/api/v1/auth/logout")

    def logout_all(self) -> None:
        """End every session of the user, on every device."""
        self._transport.send("POST", "/api/v1/auth/logout-all")

    def switch(self, body: models.Switch, /) -> models.Tokens:
        """Get tokens that are bound to a tenant of the user and refuse every other.

        They belong to a session of their own, which ends no later than this one would; this one goes on.
        """
        answer: models.Tokens = self._transport.send("POST", "/api/v1/auth/switch", body=body)
        return answer

    def read_me(self) -> models.Me:
        """Who is asking, and what they may do in the selected tenant. For an API key, `user` is whom it acts for."""
        answer: models.Me = self._transport.send("GET", "/api/v1/auth/me")
        return answer

    def list_sessions(self) -> models.SessionList:
        """List the user's live sessions, newest first."""
        answer: models.SessionList = self._transport.send("GET", "/api/v1/auth/sessions")
        return answer

    def end_session(self, session_id: str, /) -> None:
        """End one of the user's sessions."""
        self._transport.send("DELETE", f"/api/v1/auth/sessions/{segment(session_id)}")

    def read_mfa(self) -> models.Mfa:
        """Read whether the account is asked for a code when it signs in."""
        answer: models.Mfa = self._transport.send("GET", "/api/v1/auth/mfa")
        return answer

    def enroll(self, body: models.Password, /) -> models.Enrolment:
        """Get a secret for an authenticator app. It counts once it is activated with a code; until then, asking again replaces it."""
        answer: models.Enrolment = self._transport.send("POST", "/api/v1/auth/mfa/enroll", body=body)
        return answer

    def activate(self, body: models.Code, /) -> models.RecoveryCodes:
        """Activate the secret with a code of the app: logins take one from now on. The answer is the only place that shows the
        recovery codes, each of which stands in for the app once.
        """
        answer: models.RecoveryCodes = self._transport.send("POST", "/api/v1/auth/mfa/activate", body=body)
        return answer

    def renew_recovery_codes(self, body: models.PasswordAndCode, /) -> models.RecoveryCodes:
        """Get new recovery codes in place of all old ones."""
        answer: models.RecoveryCodes = self._transport.send("POST", "/api/v1/auth/mfa/recovery-codes", body=body)
        return answer

    def disable(self, body: models.PasswordAndCode, /) -> None:
        """Remove the second factor, with the password and a code or a recovery code."""
        self._transport.send("POST", "/api/v1/auth/mfa/disable", body=body)

    def verify_email(self, body: models.Link, /) -> None:
        """Verify an account's address with the link that was mailed to it. It works once, for three days."""
        self._transport.send("POST", "/api/v1/auth/verify-email", body=body)

    def resend_verification(self, body: models.Address, /) -> None:
        """Ask for another mail that verifies an address: one within five minutes at most. Tells nothing about accounts."""
        self._transport.send("POST", "/api/v1/auth/resend-verification", body=body)

    def forgot_password(self, body: models.Address, /) -> None:
        """Ask for a mail to choose a new password: one within five minutes at most. Tells nothing about accounts."""
        self._transport.send("POST", "/api/v1/auth/forgot-password", body=body)

    def reset_password(self, body: models.Reset, /) -> None:
        """Choose a new password with the link that was mailed. It works once, for an hour.

        All sessions of the account end. A second factor stays, unless the address had never been verified.
        """
        self._transport.send("POST", "/api/v1/auth/reset-password", body=body)

    def accept_invitation(self, body: models.Accept, /) -> models.Accepted:
        """Become a member of the tenant that sent the invitation. The link works once, for seven days.

        Who has no account yet, or one whose address was never verified, sends the password that it is to have. Then sign in.
        """
        answer: models.Accepted = self._transport.send("POST", "/api/v1/auth/accept-invitation", body=body)
        return answer
