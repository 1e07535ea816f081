#include "files.h"

#include <stdio.h>

#include "memory.h"
#include "verdict.h"

/* The length of an open file, or -1. */
static long length_of(FILE *file)
{
    long length;

    if (fseek(file, 0, SEEK_END) != 0) {
        return -1;
    }
    length = ftell(file);
    return fseek(file, 0, SEEK_SET) == 0 ? length : -1;
}

struct bytes read_file(const char *path, size_t limit)
{
    struct bytes content = {NULL, 0};
    FILE *file = fopen(path, "rb");
    long length = file == NULL ? -1 : length_of(file);
    uint8_t *room;
    size_t found;

    if (file != NULL && (length < 0 || (unsigned long)length > limit)) {
        fclose(file);
        broken("a file is too long or no file");
    }
    if (file == NULL) {
        broken("a file cannot be opened");
    }
    fclose(file); /* `allocate` may leave this function, so nothing is open meanwhile */
    room = allocate((size_t)length + 1, 1);
    file = fopen(path, "rb");
    found = file == NULL ? 0 : fread(room, 1, (size_t)length, file);
    if (file != NULL) {
        fclose(file);
    }
    if (found != (size_t)length) {
        broken("a file cannot be read");
    }
    content.at = room;
    content.count = found;
    return content;
}

void write_file(const char *path, const void *content, size_t count)
{
    FILE *file = fopen(path, "wb");
    size_t written;

    if (file == NULL) {
        broken("a file cannot be written");
    }
    written = fwrite(content, 1, count, file);
    if (fclose(file) != 0 || written != count) {
        broken("a file cannot be written whole");
    }
}
