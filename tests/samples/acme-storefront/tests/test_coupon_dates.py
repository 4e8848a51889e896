import unittest
from datetime import date

from storefront.coupons import CouponRefused
from tests.shop import coupons


class Validity(unittest.TestCase):
    def test_the_first_and_the_last_day_count(self):
        self.assertEqual(coupons().find("SUMMER10", date(2026, 6, 1)).percent, 10)
        self.assertEqual(coupons().find("SUMMER10", date(2026, 8, 31)).percent, 10)

    def test_the_day_after_does_not(self):
        with self.assertRaisesRegex(CouponRefused, "expired"):
            coupons().find("SUMMER10", date(2026, 9, 1))


if __name__ == "__main__":
    unittest.main()
