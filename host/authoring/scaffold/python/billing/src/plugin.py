"""The billing policy `{{name}}`: what usage costs.

As it was made each unit of one meter has one price. Change the configuration, `terms` and `rate` into your own prices;
`wit/billing/billing.wit` says what a policy is given, and what the host checks of its answer. Quantities and money are
decimals as text: only the functions of `math` compute with them. Python's floats would lose cents.
"""

import json

from wit_world import exports
from wit_world.imports import billing_types as t
from wit_world.imports import math
from wit_world.imports.plugin_types import Description, Example

# Names what is measured, in `terms` and in lines.
NEED = "usage"

DEFAULTS = {"meter": "api.requests", "unitPrice": "0.01"}

# What the operator may set, as JSON Schema; forms are drawn from it.
CONFIG_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "meter": {
            "title": "Meter",
            "description": "What is counted.",
            "type": "string",
            "default": DEFAULTS["meter"],
        },
        "unitPrice": {
            "title": "Price of a unit",
            "description": "In the currency of the subscription, as a decimal in quotation marks.",
            "type": "string",
            "pattern": "^[0-9]{1,9}(\\.[0-9]{1,9})?$",
            "default": DEFAULTS["unitPrice"],
        },
    },
}

JANUARY = {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"}

# A case that the server holds against the plugin at install.
EXAMPLE = Example(
    name="each unit has its price",
    config="{}",
    input=json.dumps(
        {
            "organization": "1",
            "subscription": "s-1",
            "currency": "EUR",
            "minorDigits": 2,
            "timezone": "UTC",
            "period": JANUARY,
            "asOf": JANUARY["end"],
            "segments": [{"span": JANUARY, "seats": "1"}],
            "usage": [
                {
                    "need": NEED,
                    "meter": DEFAULTS["meter"],
                    "unit": "request",
                    "quantity": "1250",
                    "alreadyInvoiced": "0",
                }
            ],
        }
    ),
    expect=json.dumps({"draws": [], "waived": []}),
)


def settings(config: str) -> dict[str, str]:
    return DEFAULTS | json.loads(config)


class Metadata(exports.Metadata):
    def describe(self) -> Description:
        return Description(
            id="{{name}}",
            kind="billing",
            name="{{name}}",
            version="0.1.0",
            summary="Bills each unit of a meter at one price.",
            homepage=None,
            config_schema=json.dumps(CONFIG_SCHEMA),
            examples=[EXAMPLE],
            extra=[],
        )


class Rater(exports.Rater):
    def terms(self, config: str) -> t.RatingTerms:
        """Which usage the host must compute before it asks for a rating."""
        need = t.Need(
            id=NEED,
            meter=settings(config)["meter"],
            aggregation=t.Aggregation_Sum(),
            group_by=[],
            bucketing=t.Bucketing_Segment(),
        )
        return t.RatingTerms(currencies=[], rounding=math.Rounding.HALF_EVEN, needs=[need])

    def rate(self, input: t.RatingInput) -> t.RatingOutput:
        """The same input must give the same answer: invoices are replayed."""
        price = settings(input.config)["unitPrice"]
        lines = []
        for series in input.usage:
            quantity = math.sub(series.quantity, series.already_invoiced)
            if quantity != "0":
                lines.append(line(input, series, quantity, price))
        return t.RatingOutput(lines=lines, draws=[], waived=[], carry_out=[], extra=[])

    def limits(self, input: t.RatingInput) -> list[t.UsageLimit]:
        """What the host watches between invoices: nothing."""
        return []


def line(input: t.RatingInput, series: t.Series, quantity: str, price: str) -> t.Line:
    amount = math.mul(quantity, price)
    step = t.Step(
        kind="unit",
        rule="unitPrice",
        text=f"{quantity} at {price} {input.currency}",
        quantity=quantity,
        low=None,
        high=None,
        unit_price=price,
        amount=amount,
    )
    return t.Line(
        key=NEED,
        kind="correction" if quantity.startswith("-") else "usage",
        parent=None,
        title=series.meter,
        need=series.need,
        dimensions=series.dimensions,
        span=input.period,
        quantity=quantity,
        unit=series.unit,
        amount=amount,
        tax_code=None,
        steps=[step],
        extra=[],
    )
