"""Provider accounts, the platform's and tenants' own: from what is configured to something that sends."""

from providers.accounts.account import Account, MessageProvider
from providers.accounts.own import OwnAccount, own_account
from providers.accounts.platform import platform_accounts

__all__ = ["Account", "MessageProvider", "OwnAccount", "own_account", "platform_accounts"]
