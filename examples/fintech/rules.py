"""What the bank thinks of a movement: its category, whether it is suspicious, whether the owner is told.

Pure. No rule depends on the order in which rows are booked, so every run ends with the same alerts.
"""

from __future__ import annotations

from zlib import crc32

from .rows import Entry

#: A debit from here on is looked at, whoever made it: 25,000.00.
SUSPICIOUS_CENTS = 2_500_000

#: So many debits of one account on one day are looked at, whatever they come to.
SUSPICIOUS_DEBITS_A_DAY = 3

#: A credit from here on is told to the owner: 30,000.00.
LARGE_CREDIT_CENTS = 3_000_000

#: A transfer to another bank from here on is settled by the clearing house: 5,000.00.
CLEARED_CENTS = 500_000
CLEARED_OPERATION = "PREVOD NA UCET"

#: Who carries notifications; each is as fast as it is, whatever the others do.
PROVIDERS = ("mail", "sms", "push")

#: The bank's codes. Source: the columns of the PKDD'99 "Berka" set.
SYMBOLS = {
    "UROK": "interest",
    "SLUZBY": "fees",
    "SIPO": "household",
    "DUCHOD": "pension",
    "POJISTNE": "insurance",
    "UVER": "loan",
    "SANKC. UROK": "penalty",
}
OPERATIONS = {
    "VKLAD": "deposit",
    "VYBER": "cash",
    "VYBER KARTOU": "card",
    "PREVOD NA UCET": "transfer out",
    "PREVOD Z UCTU": "transfer in",
}


def categorise(entry: Entry) -> str:
    """Return what the money was for: the symbol says it best, then the operation."""
    return SYMBOLS.get(entry.symbol) or OPERATIONS.get(entry.operation) or "other"


def is_screened(entry: Entry) -> bool:
    """Only money that leaves is checked for fraud."""
    return entry.cents < 0


def is_told(entry: Entry) -> bool:
    """Whether the owner hears of this credit."""
    return entry.cents >= LARGE_CREDIT_CENTS


def is_cleared(entry: Entry) -> bool:
    """Whether the clearing house has to settle this transfer."""
    return entry.operation == CLEARED_OPERATION and -entry.cents >= CLEARED_CENTS


def alerts(*, row: int, account: int, day: str, cents: int, debits_that_day: int) -> list[str]:
    """Return the alerts a debit raises; a name that is there already is the same alert."""
    raised = []
    if -cents >= SUSPICIOUS_CENTS:
        raised.append(f"amount:{row}")
    if debits_that_day >= SUSPICIOUS_DEBITS_A_DAY:
        raised.append(f"velocity:{account}:{day}")
    return raised


def credit_notification(row: int) -> str:
    """The name of the notification of a large credit."""
    return f"credit:{row}"


def alert_notification(alert: str) -> str:
    """The name of the notification of an alert."""
    return f"alert:{alert}"


def provider_of(notification: str) -> str:
    """Who carries it: always the same, about a third each."""
    return PROVIDERS[crc32(notification.encode()) % len(PROVIDERS)]
