"""What delivery costs."""

FREE_FROM = 5000
STANDARD = 490
EXPRESS = 1290


def shipping_cost(goods, express=False):
    """The cost of delivery for goods of that worth, after any discount."""
    if express:
        return EXPRESS
    return 0 if goods >= FREE_FROM else STANDARD
