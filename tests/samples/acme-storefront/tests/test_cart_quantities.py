import unittest

from storefront.cart import Cart
from tests.shop import MUG, catalog


class Quantities(unittest.TestCase):
    def test_adding_a_product_again_adds_up(self):
        cart = Cart(catalog())
        cart.add("mug")
        cart.add("mug", 2)
        self.assertEqual(cart.lines(), [(MUG, 3)])
        self.assertEqual(cart.subtotal(), 3750)

    def test_a_removed_product_is_gone(self):
        cart = Cart(catalog())
        cart.add("mug", 2)
        cart.remove("mug")
        self.assertTrue(cart.is_empty())


if __name__ == "__main__":
    unittest.main()
