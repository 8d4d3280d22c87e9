/* The validation policy `name-rules`: what tenants may be called.
 *
 * An example of a plugin in C, without a C library: a site's naming convention. Every rule that is broken is told, so
 * that a caller fixes all at once. */

#include "runtime.h"

void exports_metadata_describe(plugin_description_t *description) {
  *description = (plugin_description_t){
      .id = text("name-rules"),
      .kind = text("policy"),
      .name = text("Rules for names"),
      .version = text("0.1.0"),
      .summary = text("Keeps names of tenants to a convention: slugs, prefixes, reserved words."),
      .config_schema = file("config.schema.json"),
  };
  *PUSH(description->examples) = example("cases/reserved.json");
  *PUSH(description->examples) = example("cases/prefix.json");
  *PUSH(description->examples) = example("cases/passes.json");
}

static void deny(policy_verdict_t *verdict, const char *code, plugin_string_t message) {
  *PUSH(verdict->violations) = (policy_violation_t){
      .path = text("name"),
      .code = text(code),
      .message = message,
      .severity = POLICY_SEVERITY_DENY,
  };
}

/* Lower-case letters, digits and single hyphens; a letter first, no hyphen last. */
static bool is_slug(plugin_string_t name) {
  for (size_t i = 0; i < name.len; i++) {
    uint8_t c = name.ptr[i];
    bool letter = c >= 'a' && c <= 'z', digit = c >= '0' && c <= '9';
    bool hyphen = c == '-' && i > 0 && i + 1 < name.len && name.ptr[i - 1] != '-';
    if (!letter && !hyphen && !(digit && i > 0)) return false;
  }
  return name.len > 0;
}

static bool begins_with(plugin_string_t name, plugin_string_t prefix) {
  return name.len >= prefix.len && text_equal((plugin_string_t){name.ptr, prefix.len}, prefix);
}

/* Whether the name begins with one of the prefixes, which are also written down for a message. */
static bool has_prefix(plugin_string_t name, json_t prefixes, plugin_string_t *written) {
  *written = text("");
  for (json_t it = json_first(prefixes); it.len; it = json_next(prefixes, it)) {
    plugin_string_t prefix = json_text(it);
    if (begins_with(name, prefix)) return true;
    *written = CONCAT(*written, text(written->len ? ", `" : "`"), prefix, text("`"));
  }
  return written->len == 0;
}

static bool is_reserved(plugin_string_t word, json_t reserved) {
  if (!reserved.len) return text_is(word, "admin") || text_is(word, "root") || text_is(word, "www");
  for (json_t it = json_first(reserved); it.len; it = json_next(reserved, it)) {
    if (text_equal(json_text(it), word)) return true;
  }
  return false;
}

bool exports_evaluator_evaluate(policy_review_t *review, policy_verdict_t *verdict, plugin_plugin_error_t *error) {
  (void)error;
  *verdict = (policy_verdict_t){0};
  /* What has a name already keeps it: such a tenant can still be changed and destroyed. */
  if (!text_is(review->action, "spawn")) return true;

  plugin_string_t name = review->tenant_name;
  json_t config = json_of(review->config);
  if (json_bool(json_field(config, "slug"), true) && !is_slug(name)) {
    deny(verdict, "name-not-a-slug",
         CONCAT(text("`"), name,
                text("` is no slug; begin with a letter and use lower-case letters, digits and single hyphens")));
  }
  plugin_string_t prefixes;
  if (!has_prefix(name, json_field(config, "prefixes"), &prefixes)) {
    deny(verdict, "name-prefix", CONCAT(text("`"), name, text("` begins with none of "), prefixes));
  }
  plugin_string_t rest = name;
  while (rest.len > 0) {
    plugin_string_t word = {rest.ptr, 0};
    while (word.len < rest.len && rest.ptr[word.len] != '-') word.len++;
    if (is_reserved(word, json_field(config, "reserved"))) {
      deny(verdict, "name-reserved", CONCAT(text("`"), word, text("` is kept back here; choose another name")));
    }
    size_t behind = word.len < rest.len ? word.len + 1 : word.len;
    rest = (plugin_string_t){rest.ptr + behind, rest.len - behind};
  }
  return true;
}
