"""A small shop for the tests."""

from datetime import date

from storefront.catalog import Catalog, Product
from storefront.coupons import Coupon, Coupons

MUG = Product("mug", "Blue mug", 1250)
LAMP = Product("lamp", "Desk lamp", 3900)


def catalog():
    return Catalog([MUG, LAMP])


def coupons():
    return Coupons([Coupon("SUMMER10", 10, date(2026, 6, 1), date(2026, 8, 31))])


class Provider:
    """A payment provider that remembers what it charged."""

    def __init__(self, failures=()):
        self.charges = {}
        self._failures = list(failures)

    def charge(self, cents, idempotency_key):
        self.charges.setdefault(idempotency_key, cents)
        if self._failures:
            raise self._failures.pop(0)
        return f"pay-{len(self.charges)}"
