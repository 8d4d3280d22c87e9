/* The billing policy `{{name}}`: what usage costs.
 *
 * As it was made each unit of one meter has one price. Change config.schema.json, `terms` and `rate` into your own
 * prices; wit/billing/billing.wit says what a policy is given, and what the host checks of its answer. Quantities and
 * money are decimals as text: only the functions of `math` compute with them. */

#include "runtime.h"

/* Names what is measured, in `terms` and in lines. */
static const char NEED[] = "usage";

void exports_metadata_describe(plugin_description_t *description) {
  *description = (plugin_description_t){
      .id = text("{{name}}"),
      .kind = text("billing"),
      .name = text("{{name}}"),
      .version = text("0.1.0"),
      .summary = text("Bills each unit of a meter at one price."),
      .config_schema = file("config.schema.json"),
  };
  *PUSH(description->examples) = example("cases/usage.json");
}

/* What the operator set, or `otherwise`. */
static plugin_string_t setting(plugin_string_t config, const char *name, const char *otherwise) {
  json_t value = json_field(json_of(config), name);
  return value.len ? json_text(value) : text(otherwise);
}

/* Which usage the host must compute before it asks for a rating. True for an answer, false for an error. */
bool exports_rater_terms(plugin_string_t *config, billing_rating_terms_t *terms, plugin_plugin_error_t *error) {
  (void)error;
  *terms = (billing_rating_terms_t){.rounding = MATH_ROUNDING_HALF_EVEN};
  *PUSH(terms->needs) = (billing_need_t){
      .id = text(NEED),
      .meter = setting(*config, "meter", "api.requests"),
      .aggregation.tag = BILLING_AGGREGATION_SUM,
      .bucketing.tag = BILLING_BUCKETING_SEGMENT,
  };
  return true;
}

static plugin_string_t minus(plugin_string_t a, plugin_string_t b) {
  plugin_string_t result;
  math_math_error_t why;
  if (!math_sub(&a, &b, &result, &why)) panic("a difference has too many digits");
  return result;
}

static plugin_string_t times(plugin_string_t a, plugin_string_t b) {
  plugin_string_t result;
  math_math_error_t why;
  if (!math_mul(&a, &b, &result, &why)) panic("a product has too many digits");
  return result;
}

/* True for an answer, false for an error. The same input must give the same answer: invoices are replayed. */
bool exports_rater_rate(billing_rating_input_t *input, billing_rating_output_t *output, plugin_plugin_error_t *error) {
  (void)error;
  *output = (billing_rating_output_t){0};
  plugin_string_t price = setting(input->config, "unitPrice", "0.01");
  for (size_t i = 0; i < input->usage.len; i++) {
    billing_series_t *series = &input->usage.ptr[i];
    plugin_string_t open = minus(series->quantity, series->already_invoiced);
    if (text_is(open, "0")) continue;
    bool back = open.ptr[0] == '-';
    plugin_string_t amount = times(open, price);

    billing_line_t *line = PUSH(output->lines);
    line->key = text("usage");
    line->kind = text(back ? "correction" : "usage");
    line->title = series->meter;
    line->need = (plugin_option_string_t){.is_some = true, .val = series->need};
    line->dimensions.ptr = series->dimensions.ptr;
    line->dimensions.len = series->dimensions.len;
    line->span = input->period;
    line->quantity = open;
    line->unit = series->unit;
    line->amount = amount;
    *PUSH(line->steps) = (billing_step_t){
        .kind = text("unit"),
        .rule = text("unitPrice"),
        .text = CONCAT(open, text(" at "), price, text(" "), input->currency),
        .quantity = {.is_some = true, .val = open},
        .unit_price = {.is_some = true, .val = price},
        .amount = amount,
    };
  }
  return true;
}

/* What the host watches between invoices: nothing. */
bool exports_rater_limits(billing_rating_input_t *input, exports_rater_list_usage_limit_t *limits,
                          plugin_plugin_error_t *error) {
  (void)input, (void)error;
  *limits = (exports_rater_list_usage_limit_t){0};
  return true;
}
