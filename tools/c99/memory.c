#include "memory.h"

#include <stdlib.h>
#include <string.h>

#include "verdict.h"

union block {
    struct {
        union block *before;
    } link;
    long long widest_integer; /* these two align what follows the block */
    long double widest_float;
};

static union block *last_block;
static size_t used;

void *allocate(size_t count, size_t size)
{
    union block *block;
    size_t room;

    if (count > MEMORY_LIMIT / size) {
        broken("more memory needed than this decoder takes");
    }
    room = sizeof(union block) + count * size;
    if (room > MEMORY_LIMIT - used) {
        broken("more memory needed than this decoder takes");
    }
    block = calloc(1, room);
    if (block == NULL) {
        broken("out of memory");
    }
    used += room;
    block->link.before = last_block;
    last_block = block;
    return block + 1;
}

char *joined(const char *first, const char *second, const char *third)
{
    char *text = allocate(strlen(first) + strlen(second) + strlen(third) + 1, 1);

    strcpy(text, first);
    strcat(text, second);
    strcat(text, third);
    return text;
}

void release_all(void)
{
    while (last_block != NULL) {
        union block *before = last_block->link.before;

        free(last_block);
        last_block = before;
    }
    used = 0;
}
