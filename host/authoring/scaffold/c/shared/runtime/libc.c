/* The few functions of a C library that are needed, for there is none: nothing here asks a host for anything.
 *
 * Every call of a plugin runs in a fresh instance, whose memory goes with it. So memory is handed out from the end of
 * the static data upwards and never freed. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 65536, ALIGNMENT = 8 };

/* Where static data ends; the linker says so. */
extern unsigned char __heap_base;

/* Where the next block begins. */
static uintptr_t top;

/* Lets memory end at `end` or later. */
static void reach(uintptr_t end) {
  uintptr_t have = (uintptr_t)__builtin_wasm_memory_size(0) * PAGE;
  if (end <= have) return;
  size_t pages = (end - have + PAGE - 1) / PAGE;
  if (__builtin_wasm_memory_grow(0, pages) == SIZE_MAX) abort();
}

/* Each block has its size in front, for realloc. */
void *malloc(size_t size) {
  if (top == 0) top = (uintptr_t)&__heap_base;
  uintptr_t block = (top + sizeof(size_t) + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1);
  uintptr_t end;
  if (block < top || __builtin_add_overflow(block, size, &end)) abort();
  reach(end);
  ((size_t *)block)[-1] = size;
  top = end;
  return (void *)block;
}

void *realloc(void *old, size_t size) {
  if (!old) return malloc(size);
  size_t had = ((size_t *)old)[-1];
  if (size <= had) return old;
  if ((uintptr_t)old + had == top) {
    uintptr_t end;
    if (__builtin_add_overflow((uintptr_t)old, size, &end)) abort();
    reach(end);
    ((size_t *)old)[-1] = size;
    top = end;
    return old;
  }
  return memcpy(malloc(size), old, had);
}

void free(void *block) { (void)block; }

/* The call ends here, and counts against the plugin. */
_Noreturn void abort(void) { __builtin_trap(); }

void *memcpy(void *restrict to, const void *restrict from, size_t size) {
  unsigned char *t = to;
  const unsigned char *f = from;
  while (size--) *t++ = *f++;
  return to;
}

void *memmove(void *to, const void *from, size_t size) {
  unsigned char *t = to;
  const unsigned char *f = from;
  if (t <= f) return memcpy(to, from, size);
  while (size--) t[size] = f[size];
  return to;
}

void *memset(void *to, int byte, size_t size) {
  unsigned char *t = to;
  while (size--) *t++ = (unsigned char)byte;
  return to;
}

int memcmp(const void *a, const void *b, size_t size) {
  const unsigned char *x = a, *y = b;
  for (; size--; x++, y++) {
    if (*x != *y) return *x < *y ? -1 : 1;
  }
  return 0;
}

size_t strlen(const char *text) {
  size_t length = 0;
  while (text[length]) length++;
  return length;
}
