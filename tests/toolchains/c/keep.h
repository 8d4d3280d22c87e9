/* Included before the bindings. They free what an answer points to, and the answers of these plugins point to literals.
 * Every call of a plugin runs in a fresh instance, whose memory goes with it, so nothing need be freed. */
#include <stdlib.h>
#define free(block) ((void)(block))
