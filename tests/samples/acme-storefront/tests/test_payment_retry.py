import unittest

from storefront.payments import ProviderTimeout, charge_with_retry
from tests.shop import Provider


class Retry(unittest.TestCase):
    def test_a_time_out_charges_the_card_once(self):
        provider = Provider(failures=[ProviderTimeout(), ProviderTimeout()])
        charge_with_retry(provider, "o-7", 1999)
        self.assertEqual(list(provider.charges.values()), [1999])

    def test_two_orders_are_two_charges(self):
        provider = Provider()
        charge_with_retry(provider, "o-8", 500)
        charge_with_retry(provider, "o-9", 500)
        self.assertEqual(len(provider.charges), 2)


if __name__ == "__main__":
    unittest.main()
