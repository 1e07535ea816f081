/* Files, whole. */
#ifndef FILES_H
#define FILES_H

#include <stddef.h>
#include <stdint.h>

struct bytes {
    const uint8_t *at;
    size_t count;
};

/* The content of a file of at most `limit` bytes; otherwise the case is broken. A zero byte follows the content. */
struct bytes read_file(const char *path, size_t limit);

/* Writes a file; the case is broken if that fails. */
void write_file(const char *path, const void *content, size_t count);

#endif
