/* Texts, lists, files, errors: see runtime.h. */

#include "runtime.h"

#include <stdlib.h>
#include <string.h>

plugin_string_t text(const char *string) {
  return (plugin_string_t){.ptr = (uint8_t *)string, .len = strlen(string)};
}

bool text_equal(plugin_string_t a, plugin_string_t b) { return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0; }

bool text_is(plugin_string_t a, const char *b) { return text_equal(a, text(b)); }

plugin_string_t text_concat(const plugin_string_t *parts, size_t count) {
  plugin_string_t whole = {0};
  for (size_t i = 0; i < count; i++) whole.len += parts[i].len;
  uint8_t *to = whole.ptr = malloc(whole.len);
  for (size_t i = 0; i < count; to += parts[i].len, i++) memcpy(to, parts[i].ptr, parts[i].len);
  return whole;
}

plugin_string_t text_number(uint32_t number) {
  enum { DIGITS = 10 };
  uint8_t *end = (uint8_t *)malloc(DIGITS) + DIGITS, *digit = end;
  do *--digit = (uint8_t)('0' + number % 10);
  while (number /= 10);
  return (plugin_string_t){.ptr = digit, .len = (size_t)(end - digit)};
}

void *list_push(void **ptr, size_t *len, size_t size) {
  uint8_t *items = *ptr = realloc(*ptr, (*len + 1) * size);
  return memset(items + (*len)++ * size, 0, size);
}

bool list_has(plugin_list_string_t list, plugin_string_t wanted) {
  for (size_t i = 0; i < list.len; i++) {
    if (text_equal(list.ptr[i], wanted)) return true;
  }
  return false;
}

/* Generated at every build, into build/c/files.c. */
extern const struct {
  const char *path;
  const unsigned char *bytes;
  size_t len;
} project_files[];
extern const size_t project_files_len;

plugin_string_t file(const char *path) {
  for (size_t i = 0; i < project_files_len; i++) {
    if (text_is(text(path), project_files[i].path)) {
      return (plugin_string_t){.ptr = (uint8_t *)project_files[i].bytes, .len = project_files[i].len};
    }
  }
  say(LOG_LEVEL_ERROR, CONCAT(text("the project has no file "), text(path)));
  abort();
}

plugin_example_t example(const char *path) {
  json_t whole = json_of(file(path)), config = json_field(whole, "config"), expect = json_field(whole, "expect");
  return (plugin_example_t){
      .name = json_text(json_field(whole, "name")),
      .config = config.len ? json_source(config) : text("{}"),
      .input = json_source(json_field(whole, "input")),
      .expect = {.is_some = expect.len > 0, .val = json_source(expect)},
  };
}

void say(log_level_t level, plugin_string_t line) { log_write(level, &line); }

_Noreturn void panic(const char *reason) {
  say(LOG_LEVEL_ERROR, CONCAT(text("panicked: "), text(reason)));
  abort();
}

static bool refuse(plugin_plugin_error_t *error, uint8_t tag, const char *path, plugin_string_t message) {
  *error = (plugin_plugin_error_t){.tag = tag};
  *PUSH(error->val.invalid_input) = (plugin_field_error_t){.path = text(path), .message = message};
  return false;
}

bool invalid_input(plugin_plugin_error_t *error, const char *path, plugin_string_t message) {
  return refuse(error, PLUGIN_PLUGIN_ERROR_INVALID_INPUT, path, message);
}

bool invalid_config(plugin_plugin_error_t *error, const char *path, plugin_string_t message) {
  return refuse(error, PLUGIN_PLUGIN_ERROR_INVALID_CONFIG, path, message);
}

bool unsupported(plugin_plugin_error_t *error, plugin_string_t message) {
  *error = (plugin_plugin_error_t){.tag = PLUGIN_PLUGIN_ERROR_UNSUPPORTED, .val.unsupported = message};
  return false;
}
