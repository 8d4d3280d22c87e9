/* The part of a C library's <stdlib.h> that the bindings expect; see libc.c. */
#ifndef RUNTIME_STDLIB_H
#define RUNTIME_STDLIB_H

#include <stddef.h>

void *malloc(size_t size);
void *realloc(void *block, size_t size);
void free(void *block);
_Noreturn void abort(void);

#endif
