/* The language template `{{name}}`: how an application becomes an image and a service.
 *
 * As it was made it runs a main.py with Python and nothing else. Change `plan` and starter/ into what your language
 * needs; wit/template/template.wit says what a plan may hold. */

#include "runtime.h"

/* What applications run on, unless the caller names another image. */
static const char IMAGE[] = "python:3.12-slim-bookworm";

/* Where they listen inside the container. */
enum { PORT = 8080 };

/* What an application must have. */
static const char MAIN[] = "main.py";

void exports_metadata_describe(plugin_description_t *description) {
  *description = (plugin_description_t){
      .id = text("{{name}}"),
      .kind = text("template"),
      .name = text("{{name}}"),
      .version = text("0.1.0"),
      .summary = text("Runs main.py with Python."),
      .config_schema = text("{\"type\":\"object\",\"additionalProperties\":false}"),
  };
  *PUSH(description->examples) = example("cases/starter.json");
}

void exports_generator_languages(exports_generator_list_language_t *languages) {
  *languages = (exports_generator_list_language_t){0};
  template_language_t *language = PUSH(*languages);
  language->name = text("{{name}}");
  *PUSH(language->frameworks) = text("plain");
  *PUSH(language->versions) = text("3.12");
  *PUSH(language->images) = text(IMAGE);
}

/* Names of files are enough to plan with. */
void exports_generator_wants(plugin_list_string_t *patterns) { *patterns = (plugin_list_string_t){0}; }

bool exports_generator_detect(template_request_t *request, exports_generator_option_detection_t *found,
                              plugin_plugin_error_t *error) {
  (void)error;
  *found = (exports_generator_option_detection_t){
      .is_some = request->source.is_some && list_has(request->source.val.paths, text(MAIN)),
      .val = {
          /* Others may know more about such an application; they shall win. */
          .confidence = 40,
          .language = text("{{name}}"),
          .reason = CONCAT(text("it has a "), text(MAIN)),
      },
  };
  return true;
}

/* True for a plan, false for an error. The same request must give the same plan. */
bool exports_generator_plan(template_request_t *request, template_build_plan_t *plan, plugin_plugin_error_t *error) {
  if (request->framework.is_some && !text_is(request->framework.val, "plain")) {
    return invalid_input(error, "framework", text("the only framework here is `plain`; leave it out"));
  }
  bool own = request->source.is_some;
  if (own && !list_has(request->source.val.paths, text(MAIN))) {
    return invalid_input(error, MAIN, text("there is no main.py; add one that listens on $PORT"));
  }
  *plan = (template_build_plan_t){0};

  if (!own) {
    plugin_string_t main = file("starter/main.py");
    *PUSH(plan->files) = (template_file_t){.path = text(MAIN), .contents = {.ptr = main.ptr, .len = main.len}};
  }
  template_copy_files_t copy = {
      .origin.tag = own ? TEMPLATE_ORIGIN_SOURCE : TEMPLATE_ORIGIN_PLAN,
      .destination = text("/app/"),
  };
  *PUSH(copy.paths) = text(own ? "." : MAIN);

  plugin_string_t image = request->base_image.is_some ? request->base_image.val : text(IMAGE);
  template_stage_t *run = PUSH(plan->stages);
  run->name = text("run");
  run->base = (template_base_t){.tag = TEMPLATE_BASE_IMAGE, .val.image = image};
  *PUSH(run->steps) = (template_step_t){.tag = TEMPLATE_STEP_WORKDIR, .val.workdir = text("/app")};
  *PUSH(run->steps) = (template_step_t){.tag = TEMPLATE_STEP_COPY, .val.copy = copy};

  template_service_t *service = &plan->service;
  *PUSH(service->command) = text("python3");
  *PUSH(service->command) = text(MAIN);
  service->port = PORT;
  service->health = (template_health_t){
      .probe = {.tag = own ? TEMPLATE_PROBE_TCP : TEMPLATE_PROBE_HTTP, .val.http = text("/health")},
      .interval_seconds = 30,
      .timeout_seconds = 5,
      .retries = 3,
      .start_period_seconds = 30,
  };
  service->stop_signal = (plugin_option_string_t){.is_some = true, .val = text("SIGTERM")};
  service->stop_grace_seconds = 10;
  service->min_memory_mb = 64;
  *PUSH(plan->notes) = CONCAT(text(MAIN), text(" on `"), image, text("`."));
  return true;
}
