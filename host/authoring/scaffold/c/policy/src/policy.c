/* The validation policy `{{name}}`: whether a change to a tenant may happen.
 *
 * As it was made it keeps some names back. Change config.schema.json and `evaluate` into your own rule;
 * wit/policy/policy.wit says what a policy sees and what it may answer. */

#include "runtime.h"

void exports_metadata_describe(plugin_description_t *description) {
  *description = (plugin_description_t){
      .id = text("{{name}}"),
      .kind = text("policy"),
      .name = text("{{name}}"),
      .version = text("0.1.0"),
      .summary = text("Keeps some names of tenants back."),
      .config_schema = file("config.schema.json"),
  };
  *PUSH(description->examples) = example("cases/reserved.json");
}

/* Whether the operator keeps that name back; `admin`, `root` and `www` where they set nothing. */
static bool is_reserved(plugin_string_t name, plugin_string_t config) {
  json_t reserved = json_field(json_of(config), "reserved");
  if (!reserved.len) return text_is(name, "admin") || text_is(name, "root") || text_is(name, "www");
  for (json_t it = json_first(reserved); it.len; it = json_next(reserved, it)) {
    if (text_equal(json_text(it), name)) return true;
  }
  return false;
}

/* Called on the request, and again with its plan. True for a verdict, false for an error. */
bool exports_evaluator_evaluate(policy_review_t *review, policy_verdict_t *verdict, plugin_plugin_error_t *error) {
  (void)error;
  *verdict = (policy_verdict_t){0};
  /* A tenant that has such a name already can still be stopped and destroyed. */
  if (text_is(review->action, "spawn") && is_reserved(review->tenant_name, review->config)) {
    *PUSH(verdict->violations) = (policy_violation_t){
        .path = text("name"),
        .code = text("name-reserved"),
        .message = CONCAT(text("`"), review->tenant_name, text("` is kept back here; choose another name")),
        .severity = POLICY_SEVERITY_DENY,
    };
  }
  return true;
}
