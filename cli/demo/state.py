"""What the demo remembers in NEXUS_HOME/demo.json (0600), so that a second run continues with the same account."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cli.embedded.home import write_private
from cli.errors import CommandFailed

EMAIL = "demo@example.com"


@dataclass
class DemoState:
    """The demo's user, tenant and key, and the administrator that it preset for a platform which it started itself."""

    path: Path
    email: str = EMAIL
    password: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    tenant_key: str = field(default_factory=lambda: f"demo-{secrets.token_hex(8)}")
    tenant_id: str | None = None
    api_key: str | None = field(default=None, repr=False)
    admin_email: str | None = None
    admin_password: str | None = field(default=None, repr=False)

    def save(self) -> None:
        """Write it down, before what it says becomes true elsewhere."""
        values = {name: value for name, value in asdict(self).items() if name != "path"}
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self.path, json.dumps(values, indent=1))


def load_state(home: Path) -> DemoState:
    """What an earlier run left in `home`, or a new state. Raises `CommandFailed` if the file is damaged."""
    path = home.expanduser().resolve() / "demo.json"
    try:
        return DemoState(path, **json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return DemoState(path)
    except (ValueError, TypeError):
        raise CommandFailed(f"{path} cannot be read; remove it to begin with a new demo account") from None
