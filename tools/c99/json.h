/* JSON texts as trees (SPEC MODEL-2, VEC-1). */
#ifndef JSON_H
#define JSON_H

#include <stddef.h>
#include <stdint.h>

enum json_kind { JSON_NULL, JSON_BOOLEAN, JSON_INTEGER, JSON_REAL, JSON_TEXT, JSON_LIST, JSON_OBJECT };

struct json {
    enum json_kind kind;
    int64_t integer;   /* of an integer, limited to 64 bits, or of a boolean, 0 or 1 */
    const char *text;  /* of a text, or the numeral of a number */
    const char *key;   /* where the value stands in an object */
    struct json *first; /* of the values of a list or an object, in the order of the text */
    struct json *next;
    size_t count;
};

/* The tree of a text, or NULL if it is not JSON in UTF-8, holds a zero character, or is nested too deeply. */
const struct json *json_parse(const char *text, size_t length);

/* The value of a key of an object, or NULL; also NULL if `object` is NULL or of another kind. */
const struct json *json_get(const struct json *object, const char *key);

/* Whether a value is of a kind; NULL is of none. */
int json_is(const struct json *value, enum json_kind kind);

/* Whether a value is that text. */
int json_equals(const struct json *value, const char *text);

/* Whether an object has exactly the keys of a list of words separated by spaces. */
int json_has_exactly(const struct json *object, const char *words);

/* A text that grows. */
struct writer {
    char *text;
    size_t count;
    size_t room;
};

void write_text(struct writer *writer, const char *text);

/* Writes a text as JSON, in quotes. */
void write_quoted(struct writer *writer, const char *text);

/* Writes a value without white space, keys in the order of the tree. */
void write_json(struct writer *writer, const struct json *value);

/* Whether a text is the canonical form of its own tree: keys rise strictly, and nothing could be written otherwise. */
int json_is_canonical(const struct json *value, const char *text, size_t length);

#endif
