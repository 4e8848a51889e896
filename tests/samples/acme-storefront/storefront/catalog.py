"""What is on sale."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    sku: str
    name: str
    price: int


class UnknownProduct(LookupError):
    """There is no product with that number."""


class Catalog:
    def __init__(self, products):
        self._products = {product.sku: product for product in products}

    def get(self, sku):
        try:
            return self._products[sku]
        except KeyError:
            raise UnknownProduct(sku) from None

    def search(self, words):
        """Products whose name holds each of the words, in any case."""
        wanted = words.lower().split()
        return [
            product
            for product in self._products.values()
            if all(word in product.name.lower() for word in wanted)
        ]
