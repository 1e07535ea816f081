/* Memory of one case: bounded, zeroed, and freed as a whole when the case ends. */
#ifndef MEMORY_H
#define MEMORY_H

#include <stddef.h>

#define MEMORY_LIMIT ((size_t)1 << 31)

/* Room for count elements, all bytes zero. A case that would pass MEMORY_LIMIT is broken. */
void *allocate(size_t count, size_t size);

/* The text first + second + third in new memory. */
char *joined(const char *first, const char *second, const char *third);

void release_all(void);

#endif
