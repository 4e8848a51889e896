"""How many pieces there are."""


class OutOfStock(Exception):
    """Fewer pieces are free than were asked for."""


class Stock:
    def __init__(self, pieces):
        self._pieces = dict(pieces)
        self._reserved = {}

    def free(self, sku):
        return self._pieces.get(sku, 0) - sum(lines.get(sku, 0) for lines in self._reserved.values())

    def reserve(self, order_id, lines):
        """Sets pieces aside for an order: all of them or none."""
        for sku, quantity in lines.items():
            if self.free(sku) < quantity:
                raise OutOfStock(f"{sku}: {self.free(sku)} left, {quantity} asked for")
        self._reserved[order_id] = dict(lines)

    def ship(self, order_id):
        """The pieces of an order leave the house."""
        for sku, quantity in self._reserved.pop(order_id, {}).items():
            self._pieces[sku] -= quantity

    def release(self, order_id):
        """Gives back what was set aside for an order."""
        self._reserved.pop(order_id, None)
