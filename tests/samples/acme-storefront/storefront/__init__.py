"""The online shop: cart, coupons, payment, receipts."""

__version__ = "2.3.0"
