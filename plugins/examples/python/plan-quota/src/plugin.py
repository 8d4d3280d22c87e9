"""A validation policy: how much an organization may have depends on its plan."""

import json
from dataclasses import replace

from quota import Finding, Quota, findings, tightened
from wit_world import exports
from wit_world.imports.plugin_types import Description, Example
from wit_world.imports.policy_types import Review, Severity, Verdict, Violation

BOUND = {"type": "integer", "minimum": 0, "maximum": 4_000_000_000}

# What the operator may set, as JSON Schema; forms are drawn from it.
CONFIG_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "plans": {
            "title": "Plans",
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "tenants": {**BOUND, "title": "Tenants"},
                    "memoryMb": {**BOUND, "title": "Memory of all tenants", "description": "In MiB."},
                    "largestMb": {**BOUND, "title": "Memory of one container", "description": "In MiB.", "minimum": 16},
                },
            },
        }
    },
}

# A case that the server holds against the plugin at install.
EXAMPLE = Example(
    name="a plan that is not configured has no quota",
    config="{}",
    input=json.dumps(
        {
            "action": "spawn",
            "organization": {
                "id": "1",
                "name": "Example",
                "plan": "free",
                "usage": {"tenants": 100, "cpuMillis": 0, "memoryMb": 0, "diskMb": 0},
            },
            "actorRole": "admin",
            "tenantName": "shop",
            "language": "node",
            "source": "starter",
            "limits": {"cpuMillis": 500, "memoryMb": 512, "diskMb": 2048, "replicas": 1, "pids": 256},
        }
    ),
    expect=json.dumps({"violations": []}),
)


class Metadata(exports.Metadata):
    def describe(self) -> Description:
        return Description(
            id="plan-quota",
            kind="policy",
            name="Plan quota",
            version="0.1.0",
            summary="Bounds what an organization may have by the plan it subscribed to.",
            homepage=None,
            config_schema=json.dumps(CONFIG_SCHEMA),
            examples=[EXAMPLE],
            extra=[],
        )


class Evaluator(exports.Evaluator):
    def evaluate(self, review: Review) -> Verdict:
        plan, usage, limits = review.organization.plan, review.organization.usage, review.limits
        settings = json.loads(review.config).get("plans", {}).get(plan)
        # What exists already is left alone.
        if review.action != "spawn" or settings is None:
            return Verdict(violations=[], tightened=None)
        quota = Quota(**settings)
        memory_mb = tightened(quota, limits.memory_mb)
        found = findings(plan, quota, usage.tenants + 1, usage.memory_mb + memory_mb * limits.replicas)
        return Verdict(
            violations=[violation(finding) for finding in found],
            tightened=None if memory_mb == limits.memory_mb else replace(limits, memory_mb=memory_mb),
        )


def violation(finding: Finding) -> Violation:
    severity = Severity.DENY if finding.denied else Severity.WARN
    return Violation(finding.path, finding.code, finding.message, severity)
