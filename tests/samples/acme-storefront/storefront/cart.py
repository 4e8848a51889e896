"""What a customer is about to buy."""


class Cart:
    def __init__(self, catalog):
        self._catalog = catalog
        self._quantities = {}

    def add(self, sku, quantity=1):
        """Puts pieces of a product into the cart."""
        if quantity < 1:
            raise ValueError("add at least one piece")
        self._catalog.get(sku)
        self._quantities[sku] = quantity

    def remove(self, sku):
        self._quantities.pop(sku, None)

    def lines(self):
        """Pairs of product and quantity, in the order of adding."""
        return [(self._catalog.get(sku), quantity) for sku, quantity in self._quantities.items()]

    def is_empty(self):
        return not self._quantities

    def subtotal(self):
        return sum(product.price * quantity for product, quantity in self.lines())
