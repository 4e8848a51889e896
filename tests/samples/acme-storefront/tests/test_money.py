import unittest

from storefront.money import format_amount, percent_of


class Money(unittest.TestCase):
    def test_amounts_have_two_decimals(self):
        self.assertEqual(format_amount(1205), "12.05")
        self.assertEqual(format_amount(-90), "-0.90")

    def test_half_a_cent_is_rounded_up(self):
        self.assertEqual(percent_of(1005, 10), 101)


if __name__ == "__main__":
    unittest.main()
