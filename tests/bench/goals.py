"""What a figure comes to beside its goal, and how a cost grows, in words for a page."""

from bench.report import Points, exponent

GROWTH = 1.1
"""The power of size that no cost shall exceed."""


def at_most(value: float, goal: float) -> str:
    """Whether a figure is below its goal, or by how much it is not."""
    return "**reached**" if value < goal else f"**not reached**: {value / goal:.1f} times as much"


def at_least(value: float, goal: float) -> str:
    """Whether a figure is its goal at least, or what part of it there is."""
    return "**reached**" if value >= goal else f"**not reached**: {value / goal:.0%} of it"


def growth(cost: str, points: Points) -> str:
    """How a cost grows beyond what the smallest size takes; a constant would hide it.

    Raises statistics.StatisticsError for fewer than three sizes.
    """
    (size, least), *larger = points
    if any(value <= least for _, value in larger):
        return f"{cost}: does not grow from {size:,.0f} on."
    power = exponent([(x - size, y - least) for x, y in larger])
    told = "**reached**" if round(power, 2) <= GROWTH else "**not reached**"
    return (
        f"{cost}: beyond what the smallest size takes, it grows with the power {power:.2f} of the "
        f"size (goal {GROWTH} at most, {told})."
    )
