#!/usr/bin/env python3
"""What the cases in this folder must cost, worked out with fractions and nothing of the policy's code.

`oracle.py` compares each case's `expect` with what it works out and names the differences; `oracle.py --write` writes
it. Quantities and money are exact here; only the three places where the policy's documentation says that it rounds do.
"""

import json
import sys
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from pathlib import Path


def half_even(value, digits):
    return round(value * 10**digits) * Fraction(1, 10**digits)  # Fractions round half to even


def down(value, digits):
    return Fraction(floor(value * 10**digits), 10**digits)


def number(text):
    return Fraction(Decimal(text))


def text(value):
    digits = 0
    while (value * 10**digits).denominator != 1:
        digits += 1
        assert digits <= 18, f"{value} has no end"
    sign, whole = "-" if value < 0 else "", str(abs(value * 10**digits).numerator)
    if digits == 0:
        return sign + whole
    whole = whole.rjust(digits + 1, "0")
    return f"{sign}{whole[:-digits]}.{whole[-digits:]}"


def moment(value):
    return Fraction(datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp())


def length(span):
    return moment(span["end"]) - moment(span["start"])


def model(kind, units):
    """The price of units, as an area under the price of each."""
    if units == 0:
        return Fraction(0)
    (name, what), = kind.items()
    if name == "perUnit":
        return units * number(what)
    if name == "percent":
        return units * number(what) / 100
    if name == "package":
        return ceil(units / number(what["size"])) * number(what["price"])
    bounds = [Fraction(0)] + [number(tier["upTo"]) if "upTo" in tier else None for tier in what]
    price = lambda tier: number(tier.get("price", "0"))
    flat = lambda tier: number(tier.get("flat", "0"))
    if name == "volume":
        tier = next(t for t, high in zip(what, bounds[1:]) if high is None or units <= high)
        return units * price(tier) + flat(tier)
    assert name == "graduated", name
    cost = Fraction(0)
    for tier, low, high in zip(what, bounds, bounds[1:]):
        inside = (units if high is None else min(units, high)) - low
        if inside > 0:
            cost += inside * price(tier) + flat(tier)
    return cost


class Coupons:
    def __init__(self, adjustments):
        self.percent = [(a, number(a["percent"])) for a in adjustments if "percent" in a]
        self.amount = [[a, number(a["amount"])] for a in adjustments if "percent" not in a]

    @staticmethod
    def covers(adjustment, need):
        return not adjustment.get("scope") or need in adjustment["scope"]

    def apply(self, need, cost, amounts=True):
        for adjustment, percent in self.percent:
            if self.covers(adjustment, need):
                cost -= half_even(half_even(cost, 12) * percent / 100, 12)
        for pot in self.amount if amounts else []:
            if self.covers(pot[0], need):
                off = max(Fraction(0), min(cost, pot[1]))
                pot[1] -= off
                cost -= off
        return cost


def cost(price, units, coupons, amounts=True):
    if "convert" in price:
        units = half_even(units / number(price["convert"]["divideBy"]), price["convert"].get("scale", 6))
    units -= max(Fraction(0), min(units, number(price.get("free", "0"))))
    amount = model(price["model"], units)
    percent = number(price.get("discountPercent", "0"))
    amount -= half_even(half_even(amount, 12) * percent / 100, 12)
    amount = coupons.apply(price["id"], amount, amounts)
    if "maximum" in price:
        amount = min(amount, number(price["maximum"]))
    if "minimum" in price:
        amount = max(amount, number(price["minimum"]))
    return amount


def take(balances, unit, wanted, digits, start):
    taken = Fraction(0)
    for balance in balances:
        if balance["unit"] == unit and balance.get("expires", "9") > start:
            amount = down(min(wanted - taken, balance["left"]), digits)
            if amount > 0:
                balance["left"] -= amount
                taken += amount
    return taken


def rate(case):
    config, given = case.get("config", {}), case["input"]
    coupons = Coupons(sorted(given.get("adjustments", []), key=lambda a: a["id"]))
    balances = [dict(b, left=number(b["available"])) for b in given.get("balances", [])]
    start, period = given["period"]["start"], length(given["period"])
    billed = {line["key"] for line in given.get("billed", [])}
    lines = []
    for at, segment in enumerate(given["segments"]):
        own = json.loads(segment["config"]) if "config" in segment else config
        for fee in own.get("fees", []):
            prorated = fee.get("prorate", False)
            key = f"fee:{fee['id']}" + (f":{at}" if prorated else "")
            if key in billed or not prorated and at != len(given["segments"]) - 1:
                continue
            amount = number(fee["amount"]) * (number(segment["seats"]) if fee.get("perSeat") else 1)
            if prorated and length(segment["span"]) != period:
                amount = half_even(amount * length(segment["span"]) / period, 12)
            lines.append([key, coupons.apply(None, amount), Fraction(1)])
    for price in config.get("prices", []):
        for series in given.get("usage", []):
            if series["need"] != price["id"]:
                continue
            total, invoiced = number(series["quantity"]), number(series["alreadyInvoiced"])
            key = "usage:" + ":".join([price["id"]] + [d["value"] for d in series.get("dimensions", [])])
            prepaid = take(balances, series["unit"], total - invoiced, 18, start)
            amount = cost(price, total - prepaid, coupons)
            if invoiced != 0:
                amount -= cost(price, invoiced, coupons, amounts=False)
            if total != invoiced or amount != 0:
                lines.append([key, amount, total - invoiced])
    committed = number(config.get("commitment", "0"))
    spent = sum((line[1] for line in lines), Fraction(0))
    spent += sum((number(line["amount"]) for line in given.get("billed", [])), Fraction(0))
    if given["asOf"] == given["period"]["end"] and spent < committed:
        lines.append(["commitment", committed - spent, Fraction(1)])
    for line in lines:
        line[1] -= take(balances, given["currency"], line[1], given["minorDigits"], start)
    return {"lines": [{"key": key, "quantity": text(units), "amount": text(amount)} for key, amount, units in lines]}


def main():
    write, wrong = "--write" in sys.argv[1:], 0
    for path in sorted(Path(__file__).resolve().parent.glob("*.json")):
        case = json.loads(path.read_text(encoding="utf-8"))
        found = rate(case)
        if write:
            case["expect"] = found
            path.write_text(json.dumps(case, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        elif case.get("expect") != found:
            wrong += 1
            print(f"{path.name}: the case expects {json.dumps(case.get('expect'))}, and it is {json.dumps(found)}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
