import unittest
from datetime import date

from storefront.cart import Cart
from storefront.checkout import Checkout
from storefront.payments import CardDeclined
from storefront.stock import Stock
from tests.shop import Provider, catalog, coupons


class DeclinedCard(unittest.TestCase):
    def test_the_goods_are_free_again(self):
        stock = Stock({"lamp": 1})
        checkout = Checkout(Provider(failures=[CardDeclined("insufficient funds")]), stock, coupons())
        cart = Cart(catalog())
        cart.add("lamp")
        with self.assertRaises(CardDeclined):
            checkout.place_order("o-5", cart, date(2026, 7, 15))
        self.assertEqual(stock.free("lamp"), 1)


if __name__ == "__main__":
    unittest.main()
