/* Reading JSON: see runtime.h. The host has checked that it is JSON, so this only finds its way through it; of a text
 * that is none it makes something, and reads nothing beyond its end. */

#include <stdlib.h>

#include "runtime.h"

static const json_t NONE = {0};

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

static const char *skip_space(const char *at, const char *end) {
  while (at < end && is_space(*at)) at++;
  return at;
}

/* Behind the string that begins at `at`. */
static const char *skip_string(const char *at, const char *end) {
  for (at++; at < end; at++) {
    if (*at == '\\') at++;
    else if (*at == '"') return at + 1;
  }
  return end;
}

/* Behind the value that begins at `at`. */
static const char *skip_value(const char *at, const char *end) {
  int depth = 0;
  while (at < end) {
    if (*at == '"') {
      at = skip_string(at, end);
    } else if (*at == '{' || *at == '[') {
      depth++, at++;
    } else if (*at == '}' || *at == ']') {
      if (depth == 0) return at;
      depth--, at++;
    } else if (depth > 0) {
      at++;
      continue;
    } else {
      while (at < end && !is_space(*at) && *at != ',' && *at != ']' && *at != '}') at++;
    }
    if (depth == 0) return at;
  }
  return end;
}

/* The value at `at`, or behind the space there; none where the text or what it is in ends. */
static json_t value_at(const char *at, const char *end) {
  at = skip_space(at, end);
  return (json_t){at, (size_t)(skip_value(at, end) - at)};
}

/* Whether `c` comes next; then `at` is behind it. */
static bool take(const char **at, const char *end, char c) {
  *at = skip_space(*at, end);
  if (*at == end || **at != c) return false;
  ++*at;
  return true;
}

json_t json_of(plugin_string_t text) { return value_at((const char *)text.ptr, (const char *)text.ptr + text.len); }

json_t json_field(json_t object, const char *name) {
  const char *at = object.ptr, *end = object.ptr + object.len;
  if (!take(&at, end, '{')) return NONE;
  do {
    json_t key = value_at(at, end);
    at = key.ptr + key.len;
    if (!take(&at, end, ':')) return NONE;
    json_t value = value_at(at, end);
    if (text_is(json_text(key), name)) return text_is(json_source(value), "null") ? NONE : value;
    at = value.ptr + value.len;
  } while (take(&at, end, ','));
  return NONE;
}

json_t json_first(json_t array) {
  const char *at = array.ptr, *end = array.ptr + array.len;
  return take(&at, end, '[') ? value_at(at, end) : NONE;
}

json_t json_next(json_t array, json_t item) {
  const char *at = item.ptr + item.len, *end = array.ptr + array.len;
  return take(&at, end, ',') ? value_at(at, end) : NONE;
}

plugin_string_t json_source(json_t value) { return (plugin_string_t){.ptr = (uint8_t *)value.ptr, .len = value.len}; }

/* The value of four hexadecimal digits; 0 where they are none. */
static uint32_t hexadecimal(const char *at, const char *end) {
  if (end - at < 4) return 0;
  uint32_t number = 0;
  for (int i = 0; i < 4; i++) {
    char c = at[i];
    uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : ((uint32_t)c | 32) - 'a' + 10;
    if (digit > 15) return 0;
    number = number << 4 | digit;
  }
  return number;
}

/* Writes a character in UTF-8 and returns where the next one goes. */
static uint8_t *put(uint8_t *to, uint32_t c) {
  if (c < 0x80) {
    *to++ = (uint8_t)c;
    return to;
  }
  int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  *to++ = (uint8_t)((0xf00 >> more & 0xff) | c >> 6 * more);
  while (more--) *to++ = (uint8_t)(0x80 | (c >> 6 * more & 0x3f));
  return to;
}

plugin_string_t json_text(json_t value) {
  if (value.len < 2 || *value.ptr != '"') return (plugin_string_t){0};
  const char *at = value.ptr + 1, *end = value.ptr + value.len - 1;
  /* An escape is never shorter than what it stands for. */
  uint8_t *begin = malloc(value.len), *to = begin;
  while (at < end) {
    if (*at != '\\' || at + 1 == end) {
      *to++ = (uint8_t)*at++;
      continue;
    }
    char escaped = at[1];
    at += 2;
    switch (escaped) {
      case 'b': *to++ = '\b'; break;
      case 'f': *to++ = '\f'; break;
      case 'n': *to++ = '\n'; break;
      case 'r': *to++ = '\r'; break;
      case 't': *to++ = '\t'; break;
      case 'u': {
        uint32_t c = hexadecimal(at, end);
        at = end - at < 4 ? end : at + 4;
        if (c >> 10 == 0x36 && end - at >= 6 && at[0] == '\\' && at[1] == 'u') {
          c = 0x10000 + ((c & 0x3ff) << 10 | (hexadecimal(at + 2, end) & 0x3ff));
          at += 6;
        }
        to = put(to, c >> 11 == 0x1b ? 0xfffd : c);
        break;
      }
      default: *to++ = (uint8_t)escaped;
    }
  }
  return (plugin_string_t){.ptr = begin, .len = (size_t)(to - begin)};
}

uint32_t json_number(json_t value, uint32_t otherwise) {
  uint32_t number = 0;
  for (size_t i = 0; i < value.len; i++) {
    uint32_t digit = (uint32_t)value.ptr[i] - '0';
    if (digit > 9 || __builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, digit, &number)) {
      return otherwise;
    }
  }
  return value.len ? number : otherwise;
}

bool json_bool(json_t value, bool otherwise) {
  plugin_string_t source = json_source(value);
  return text_is(source, "true") || (otherwise && !text_is(source, "false"));
}
