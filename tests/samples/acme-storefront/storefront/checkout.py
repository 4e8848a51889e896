"""One order, from cart to receipt."""

from dataclasses import dataclass

from storefront.coupons import discount
from storefront.payments import ProviderTimeout, charge_with_retry
from storefront.receipts import render
from storefront.shipping import shipping_cost


class EmptyCart(ValueError):
    """There is nothing to buy."""


@dataclass(frozen=True)
class Order:
    order_id: str
    total: int
    payment: str
    receipt: str


class Checkout:
    def __init__(self, provider, stock, coupons):
        self._provider = provider
        self._stock = stock
        self._coupons = coupons

    def place_order(self, order_id, cart, today, code=None):
        """Reserves the goods, charges the card, gives the order with its receipt."""
        if cart.is_empty():
            raise EmptyCart("the cart is empty")
        subtotal = cart.subtotal()
        reduction = discount(self._coupons.find(code, today), subtotal) if code else 0
        delivery = shipping_cost(subtotal - reduction)
        total = subtotal - reduction + delivery
        self._stock.reserve(order_id, {product.sku: quantity for product, quantity in cart.lines()})
        try:
            payment = charge_with_retry(self._provider, order_id, total)
        except ProviderTimeout:
            self._stock.release(order_id)
            raise
        receipt = render(order_id, cart.lines(), reduction, delivery, total)
        return Order(order_id, total, payment, receipt)
