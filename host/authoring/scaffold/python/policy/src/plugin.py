"""The validation policy `{{name}}`: whether a change to a tenant may happen.

As it was made it keeps some names back. Change the configuration and `evaluate` into your own rule;
`wit/policy/policy.wit` says what a policy sees and what it may answer.
"""

import json

from wit_world import exports
from wit_world.imports.plugin_types import Description, Example
from wit_world.imports.policy_types import Review, Severity, Verdict, Violation

DEFAULT_RESERVED = ["admin", "root", "www"]

# What the operator may set, as JSON Schema; forms are drawn from it.
CONFIG_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "reserved": {
            "title": "Reserved names",
            "description": "Names that no new tenant may have.",
            "type": "array",
            "items": {"type": "string"},
            "default": DEFAULT_RESERVED,
        }
    },
}

# A case that the server holds against the plugin at install.
EXAMPLE = Example(
    name="a reserved name is refused",
    config=json.dumps({"reserved": ["admin"]}),
    input=json.dumps(
        {
            "action": "spawn",
            "organization": {
                "id": "1",
                "name": "Example",
                "plan": "",
                "usage": {"tenants": 0, "cpuMillis": 0, "memoryMb": 0, "diskMb": 0},
            },
            "actorRole": "admin",
            "tenantName": "admin",
            "language": "node",
            "source": "starter",
            "limits": {"cpuMillis": 500, "memoryMb": 512, "diskMb": 2048, "replicas": 1, "pids": 256},
        }
    ),
    expect=json.dumps(
        {
            "violations": [
                {
                    "path": "name",
                    "code": "name-reserved",
                    "message": "`admin` is kept back here; choose another name",
                    "severity": "deny",
                }
            ]
        }
    ),
)


class Metadata(exports.Metadata):
    def describe(self) -> Description:
        return Description(
            id="{{name}}",
            kind="policy",
            name="{{name}}",
            version="0.1.0",
            summary="Keeps some names of tenants back.",
            homepage=None,
            config_schema=json.dumps(CONFIG_SCHEMA),
            examples=[EXAMPLE],
            extra=[],
        )


class Evaluator(exports.Evaluator):
    def evaluate(self, review: Review) -> Verdict:
        reserved = json.loads(review.config).get("reserved", DEFAULT_RESERVED)
        # A tenant that has such a name already can still be stopped and destroyed.
        if review.action != "spawn" or review.tenant_name not in reserved:
            return Verdict(violations=[], tightened=None)
        message = f"`{review.tenant_name}` is kept back here; choose another name"
        return Verdict(violations=[Violation("name", "name-reserved", message, Severity.DENY)], tightened=None)
