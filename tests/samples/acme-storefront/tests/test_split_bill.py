import unittest

from storefront.money import split_evenly


class SplitBill(unittest.TestCase):
    def test_the_shares_add_up_to_the_amount(self):
        self.assertEqual(split_evenly(1000, 3), [334, 333, 333])
        self.assertEqual(sum(split_evenly(9999, 7)), 9999)

    def test_an_even_amount_stays_even(self):
        self.assertEqual(split_evenly(900, 3), [300, 300, 300])


if __name__ == "__main__":
    unittest.main()
