"""What a plan allows. Nothing here knows of components: plain data in, plain data out."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Quota:
    """None where there is no bound."""

    tenants: int | None = None
    memoryMb: int | None = None
    largestMb: int | None = None


@dataclass(frozen=True)
class Finding:
    path: str
    code: str
    message: str
    denied: bool


def tightened(quota: Quota, memory_mb: int) -> int:
    """The memory that a container gets."""
    return memory_mb if quota.largestMb is None else min(memory_mb, quota.largestMb)


def findings(plan: str, quota: Quota, tenants: int, memory_mb: int) -> Iterator[Finding]:
    """What is to be said when the organization has this much, the change included."""
    measured = [
        ("tenants", "", "tenants", tenants, quota.tenants),
        ("memory", "limits.memoryMb", "MiB of memory", memory_mb, quota.memoryMb),
    ]
    for name, path, unit, value, most in measured:
        if most is None:
            continue
        if value > most:
            message = f"the plan `{plan}` has {most} {unit}, and this would make {value}; ask for a larger plan"
            yield Finding(path, f"{name}-above-quota", message, denied=True)
        elif value * 10 > most * 9:
            message = f"{value} of the {most} {unit} of the plan `{plan}` will be in use"
            yield Finding(path, f"{name}-near-quota", message, denied=False)
