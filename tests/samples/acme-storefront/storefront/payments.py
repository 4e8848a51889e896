"""Charging a card through the payment provider."""

import uuid

ATTEMPTS = 3


class ProviderTimeout(Exception):
    """The provider did not answer in time; it may or may not have charged the card."""


class CardDeclined(Exception):
    """The bank said no."""


def charge_with_retry(provider, order_id, cents):
    """Charges an order's amount and returns the provider's receipt number.

    A time-out is tried again. The provider charges at most once per idempotency key.
    """
    for attempt in range(1, ATTEMPTS + 1):
        key = f"{order_id}-{uuid.uuid4().hex}"
        try:
            return provider.charge(cents, idempotency_key=key)
        except ProviderTimeout:
            if attempt == ATTEMPTS:
                raise
