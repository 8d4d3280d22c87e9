/* What makes the bindings pleasant: texts, lists, JSON, the log. Made once for your project, and yours to change.
 *
 * "plugin.h" is generated from wit/ at every build, into build/c/: look there for the names of types. */
#ifndef RUNTIME_H
#define RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin.h"

/* --- Texts: UTF-8, a length, no zero at the end ------------------------------------------------------------------ */

/* The text of a C string, which is not copied. */
plugin_string_t text(const char *string);

/* Whether two texts are the same. */
bool text_equal(plugin_string_t a, plugin_string_t b);

/* Whether a text is that C string. */
bool text_is(plugin_string_t a, const char *b);

/* Texts one after the other: CONCAT(text("`"), name, text("` is taken")). */
#define CONCAT(...) \
  text_concat((plugin_string_t[]){__VA_ARGS__}, sizeof((plugin_string_t[]){__VA_ARGS__}) / sizeof(plugin_string_t))
plugin_string_t text_concat(const plugin_string_t *parts, size_t count);

/* A number in decimal digits. */
plugin_string_t text_number(uint32_t number);

/* --- Lists: the bindings' structs of `ptr` and `len` ------------------------------------------------------------- */

/* Adds an element, all zero, to the list, and points to it: *PUSH(plan->notes) = text("A note."). */
#define PUSH(list) ((__typeof__((list).ptr))list_push((void **)&(list).ptr, &(list).len, sizeof *(list).ptr))
void *list_push(void **ptr, size_t *len, size_t size);

/* Whether a list of texts has that one. */
bool list_has(plugin_list_string_t list, plugin_string_t wanted);

/* --- The project's own files ------------------------------------------------------------------------------------- */

/* The contents of config.schema.json, or of a file in cases/ or starter/: `plugin build` puts them into the component.
 * Panics where there is none of that name. */
plugin_string_t file(const char *path);

/* A file of cases/ as one of the examples that `describe` gives, so that what is tested is also what is said. */
plugin_example_t example(const char *path);

/* --- JSON that the host has checked already ---------------------------------------------------------------------- */

/* A value inside a JSON text; `len` 0 where there is none. */
typedef struct {
  const char *ptr;
  size_t len;
} json_t;

/* The value of a whole text. */
json_t json_of(plugin_string_t text);

/* A field of an object; none where it is absent or null. */
json_t json_field(json_t object, const char *name);

/* Goes through an array: `for (json_t it = json_first(array); it.len; it = json_next(array, it))`. */
json_t json_first(json_t array);
json_t json_next(json_t array, json_t item);

/* What a string says; empty where the value is no string. */
plugin_string_t json_text(json_t value);

/* A whole number; `otherwise` where the value is none, or does not fit. */
uint32_t json_number(json_t value, uint32_t otherwise);

/* True or false; `otherwise` where the value is neither. */
bool json_bool(json_t value, bool otherwise);

/* The value as it is written. */
plugin_string_t json_source(json_t value);

/* --- Words to the operator and to the caller --------------------------------------------------------------------- */

/* Writes a line to the server's log: LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN … */
void say(log_level_t level, plugin_string_t line);

/* Ends the call, with the reason in the log. For what must not happen: it counts against the plugin. */
_Noreturn void panic(const char *reason);

/* Answers a call with an error, and returns what an exported function returns then. */
bool invalid_input(plugin_plugin_error_t *error, const char *path, plugin_string_t message);
bool invalid_config(plugin_plugin_error_t *error, const char *path, plugin_string_t message);
bool unsupported(plugin_plugin_error_t *error, plugin_string_t message);

#endif
