"""Discount codes."""

from dataclasses import dataclass
from datetime import date

from storefront.money import percent_of


@dataclass(frozen=True)
class Coupon:
    code: str
    percent: int
    valid_from: date
    valid_until: date


class CouponRefused(ValueError):
    """The code does not count today; the message says why."""


class Coupons:
    def __init__(self, coupons):
        self._coupons = {coupon.code.upper(): coupon for coupon in coupons}

    def find(self, code, today):
        """The coupon of that code. Both its first and its last day count."""
        coupon = self._coupons.get(code.strip().upper())
        if coupon is None:
            raise CouponRefused(f"there is no coupon {code}")
        if today < coupon.valid_from:
            raise CouponRefused(f"{coupon.code} is not valid yet")
        if today >= coupon.valid_until:
            raise CouponRefused(f"{coupon.code} has expired")
        return coupon


def discount(coupon, subtotal):
    """What a coupon takes off."""
    return percent_of(subtotal, coupon.percent)
