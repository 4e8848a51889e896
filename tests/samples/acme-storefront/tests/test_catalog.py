import unittest

from storefront.catalog import UnknownProduct
from tests.shop import MUG, catalog


class Search(unittest.TestCase):
    def test_each_word_counts_in_any_case(self):
        self.assertEqual(catalog().search("MUG blue"), [MUG])
        self.assertEqual(catalog().search("blue lamp"), [])

    def test_an_unknown_number_is_an_error(self):
        with self.assertRaises(UnknownProduct):
            catalog().get("sofa")


if __name__ == "__main__":
    unittest.main()
