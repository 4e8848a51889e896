"""Amounts in cents."""


def format_amount(cents):
    """Shows 1234 as ``12.34``, with a sign in front where it is negative."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def percent_of(cents, percent):
    """``percent`` hundredths of an amount, half a cent rounded up."""
    return (cents * percent + 50) // 100


def split_evenly(cents, parts):
    """What each of ``parts`` people pays when they share an amount."""
    if parts < 1:
        raise ValueError("an amount is shared by at least one person")
    share = cents // parts
    return [share] * parts
