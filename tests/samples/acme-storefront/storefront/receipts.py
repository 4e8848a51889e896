"""What the customer gets by mail."""

from storefront.money import format_amount


def render(order_id, lines, reduction, delivery, total):
    """The receipt as plain text, one line for each product."""
    rows = [f"Order {order_id}", ""]
    for product, quantity in lines:
        rows.append(f"{quantity} x {product.name}  {format_amount(product.price * quantity)}")
    if reduction:
        rows.append(f"Discount  {format_amount(-reduction)}")
    rows.append(f"Delivery  {format_amount(delivery)}")
    rows.append(f"Total  {format_amount(total)}")
    return "\n".join(rows)
