import unittest
from datetime import date

from storefront.cart import Cart
from storefront.checkout import Checkout, EmptyCart
from storefront.stock import OutOfStock, Stock
from tests.shop import Provider, catalog, coupons

MID_JULY = date(2026, 7, 15)


class PlacingAnOrder(unittest.TestCase):
    def setUp(self):
        self.provider = Provider()
        self.stock = Stock({"mug": 3, "lamp": 2})
        self.checkout = Checkout(self.provider, self.stock, coupons())
        self.cart = Cart(catalog())

    def test_the_card_is_charged_with_goods_and_delivery(self):
        self.cart.add("mug", 2)
        order = self.checkout.place_order("o-1", self.cart, MID_JULY)
        self.assertEqual(order.total, 2990)
        self.assertEqual(list(self.provider.charges.values()), [2990])

    def test_a_coupon_shows_on_the_receipt(self):
        self.cart.add("lamp", 2)
        order = self.checkout.place_order("o-2", self.cart, MID_JULY, code="summer10")
        self.assertEqual(order.total, 7020)
        self.assertIn("Discount  -7.80", order.receipt)

    def test_an_empty_cart_cannot_be_ordered(self):
        with self.assertRaises(EmptyCart):
            self.checkout.place_order("o-3", self.cart, MID_JULY)

    def test_goods_that_are_gone_are_not_charged(self):
        self.cart.add("lamp", 5)
        with self.assertRaises(OutOfStock):
            self.checkout.place_order("o-4", self.cart, MID_JULY)
        self.assertEqual(self.provider.charges, {})


if __name__ == "__main__":
    unittest.main()
