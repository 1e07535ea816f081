#include "json.h"

#include <stdio.h>
#include <string.h>

#include "memory.h"

#define DEEPEST 32

struct reader {
    const char *at;
    const char *end;
    int depth;
};

static int read_value(struct reader *reader, struct json *value);

static void skip_space(struct reader *reader)
{
    while (reader->at < reader->end && strchr(" \t\r\n", *reader->at) != NULL && *reader->at != '\0') {
        reader->at++;
    }
}

/* Takes a character if it is the next one. */
static int take(struct reader *reader, char wanted)
{
    if (reader->at < reader->end && *reader->at == wanted) {
        reader->at++;
        return 1;
    }
    return 0;
}

static int take_word(struct reader *reader, const char *word)
{
    size_t length = strlen(word);

    if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0) {
        return 0;
    }
    reader->at += length;
    return 1;
}

static int take_digits(struct reader *reader)
{
    const char *begin = reader->at;

    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') {
        reader->at++;
    }
    return reader->at > begin;
}

/* The value of a numeral without fraction, limited to 64 bits. */
static int64_t limited(const char *numeral)
{
    int negative = *numeral == '-';
    int64_t value = 0;

    for (numeral += negative; *numeral != '\0'; numeral++) {
        int digit = *numeral - '0';

        if (value < (INT64_MIN + digit) / 10) {
            return negative ? INT64_MIN : INT64_MAX;
        }
        value = 10 * value - digit; /* negative numbers reach one further */
    }
    if (negative) {
        return value;
    }
    return value == INT64_MIN ? INT64_MAX : -value;
}

static int read_number(struct reader *reader, struct json *value)
{
    const char *begin = reader->at;
    char *numeral;

    value->kind = JSON_INTEGER;
    take(reader, '-');
    if (!take(reader, '0') && !take_digits(reader)) {
        return 0;
    }
    if (take(reader, '.')) {
        value->kind = JSON_REAL;
        if (!take_digits(reader)) {
            return 0;
        }
    }
    if (take(reader, 'e') || take(reader, 'E')) {
        value->kind = JSON_REAL;
        if (!take(reader, '+')) {
            take(reader, '-');
        }
        if (!take_digits(reader)) {
            return 0;
        }
    }
    numeral = allocate((size_t)(reader->at - begin) + 1, 1);
    memcpy(numeral, begin, (size_t)(reader->at - begin));
    value->text = numeral;
    value->integer = value->kind == JSON_INTEGER ? limited(numeral) : 0;
    return 1;
}

/* Four hexadecimal digits, or -1. */
static long read_hexadecimal(struct reader *reader)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    long value = 0;
    int k;

    for (k = 0; k < 4; k++) {
        const char *found;

        if (reader->at == reader->end || *reader->at == '\0') {
            return -1;
        }
        found = strchr(digits, *reader->at++);
        if (found == NULL) {
            return -1;
        }
        value = 16 * value + (found - digits) % 16;
    }
    return value;
}

/* The character of a \u escape, or -1 if it is half of a pair or zero. */
static long read_code_point(struct reader *reader)
{
    long high = read_hexadecimal(reader);
    long low;

    if (high < 0xD800 || high > 0xDFFF) {
        return high > 0 ? high : -1;
    }
    if (high > 0xDBFF || !take_word(reader, "\\u")) {
        return -1;
    }
    low = read_hexadecimal(reader);
    return low < 0xDC00 || low > 0xDFFF ? -1 : 0x10000 + (high - 0xD800) * 0x400 + (low - 0xDC00);
}

/* Appends a character in UTF-8 and returns the place behind it. */
static char *put_code_point(char *out, long point)
{
    if (point < 0x80) {
        *out++ = (char)point;
        return out;
    }
    if (point < 0x800) {
        *out++ = (char)(0xC0 | point >> 6);
    } else {
        if (point < 0x10000) {
            *out++ = (char)(0xE0 | point >> 12);
        } else {
            *out++ = (char)(0xF0 | point >> 18);
            *out++ = (char)(0x80 | (point >> 12 & 0x3F));
        }
        *out++ = (char)(0x80 | (point >> 6 & 0x3F));
    }
    *out++ = (char)(0x80 | (point & 0x3F));
    return out;
}

/* The escaped character behind a backslash, or -1. */
static long read_escape(struct reader *reader)
{
    static const char names[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";
    const char *found;

    if (reader->at == reader->end || *reader->at == '\0') {
        return -1;
    }
    if (take(reader, 'u')) {
        return read_code_point(reader);
    }
    found = strchr(names, *reader->at++);
    return found == NULL ? -1 : meant[found - names];
}

/* The length of the character in UTF-8 at the reader, or 0 if there is none. */
static size_t utf8_length(const struct reader *reader)
{
    const unsigned char *at = (const unsigned char *)reader->at;
    size_t left = (size_t)(reader->end - reader->at);
    size_t length = at[0] < 0x80 ? 1 : at[0] < 0xC2 ? 0 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : at[0] < 0xF5 ? 4 : 0;
    size_t k;

    if (length == 0 || length > left) {
        return 0;
    }
    for (k = 1; k < length; k++) {
        if ((at[k] & 0xC0) != 0x80) {
            return 0;
        }
    }
    if ((at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xED && at[1] > 0x9F)) {
        return 0; /* too long a form, or half of a pair */
    }
    return (at[0] == 0xF0 && at[1] < 0x90) || (at[0] == 0xF4 && at[1] > 0x8F) ? 0 : length;
}

/* The end of the text that begins at the reader, or NULL. */
static const char *closing_quote(const struct reader *reader)
{
    const char *at;

    for (at = reader->at; at < reader->end && *at != '"'; at++) {
        if (*at == '\\' && ++at == reader->end) {
            return NULL;
        }
    }
    return at < reader->end ? at : NULL;
}

/* The text behind an opening quote, or NULL. */
static const char *read_text(struct reader *reader)
{
    const char *end = closing_quote(reader);
    char *begin;
    char *out;

    if (end == NULL) {
        return NULL;
    }
    begin = allocate((size_t)(end - reader->at) + 1, 1); /* no escape is shorter than its character */
    out = begin;
    while (!take(reader, '"')) {
        if (take(reader, '\\')) {
            long point = read_escape(reader);

            if (point < 0) {
                return NULL;
            }
            out = put_code_point(out, point);
        } else {
            size_t length = utf8_length(reader);

            if (length == 0 || (unsigned char)*reader->at < 0x20) {
                return NULL;
            }
            memcpy(out, reader->at, length);
            out += length;
            reader->at += length;
        }
    }
    return begin;
}

static int read_key(struct reader *reader, struct json *member)
{
    skip_space(reader);
    if (!take(reader, '"')) {
        return 0;
    }
    member->key = read_text(reader);
    skip_space(reader);
    return member->key != NULL && take(reader, ':');
}

/* The values of a list or an object behind its opening bracket. */
static int read_members(struct reader *reader, struct json *parent, char closing)
{
    struct json **end = &parent->first;

    skip_space(reader);
    if (take(reader, closing)) {
        return 1;
    }
    do {
        struct json *member = allocate(1, sizeof *member);

        if ((parent->kind == JSON_OBJECT && !read_key(reader, member)) || !read_value(reader, member)) {
            return 0;
        }
        *end = member;
        end = &member->next;
        parent->count++;
        skip_space(reader);
    } while (take(reader, ','));
    return take(reader, closing);
}

static int read_nested(struct reader *reader, struct json *value, enum json_kind kind)
{
    int good;

    if (++reader->depth > DEEPEST) {
        return 0;
    }
    value->kind = kind;
    good = read_members(reader, value, kind == JSON_LIST ? ']' : '}');
    reader->depth--;
    return good;
}

static int read_value(struct reader *reader, struct json *value)
{
    skip_space(reader);
    if (take(reader, '{')) {
        return read_nested(reader, value, JSON_OBJECT);
    }
    if (take(reader, '[')) {
        return read_nested(reader, value, JSON_LIST);
    }
    if (take(reader, '"')) {
        value->kind = JSON_TEXT;
        value->text = read_text(reader);
        return value->text != NULL;
    }
    if (take_word(reader, "null")) {
        value->kind = JSON_NULL;
        return 1;
    }
    value->kind = JSON_BOOLEAN;
    if (take_word(reader, "true")) {
        value->integer = 1;
        return 1;
    }
    return take_word(reader, "false") || read_number(reader, value);
}

const struct json *json_parse(const char *text, size_t length)
{
    struct reader reader;
    struct json *value = allocate(1, sizeof *value);

    reader.at = text;
    reader.end = text + length;
    reader.depth = 0;
    if (!read_value(&reader, value)) {
        return NULL;
    }
    skip_space(&reader);
    return reader.at == reader.end ? value : NULL;
}

const struct json *json_get(const struct json *object, const char *key)
{
    const struct json *member;

    if (!json_is(object, JSON_OBJECT)) {
        return NULL;
    }
    for (member = object->first; member != NULL; member = member->next) {
        if (strcmp(member->key, key) == 0) {
            return member;
        }
    }
    return NULL;
}

int json_is(const struct json *value, enum json_kind kind)
{
    return value != NULL && value->kind == kind;
}

int json_equals(const struct json *value, const char *text)
{
    return json_is(value, JSON_TEXT) && strcmp(value->text, text) == 0;
}

int json_has_exactly(const struct json *object, const char *words)
{
    size_t count = 0;

    if (!json_is(object, JSON_OBJECT)) {
        return 0;
    }
    while (*words != '\0') {
        size_t length = strcspn(words, " ");
        const struct json *member = object->first;

        while (member != NULL && (strlen(member->key) != length || memcmp(member->key, words, length) != 0)) {
            member = member->next;
        }
        if (member == NULL) {
            return 0;
        }
        count++;
        words += length + (words[length] == ' ');
    }
    return count == object->count;
}

static void write_span(struct writer *writer, const char *text, size_t length)
{
    if (length >= writer->room - writer->count) {
        char *wider;

        writer->room = 2 * (writer->count + length) + 64;
        wider = allocate(writer->room, 1);
        if (writer->count > 0) {
            memcpy(wider, writer->text, writer->count);
        }
        writer->text = wider;
    }
    memcpy(writer->text + writer->count, text, length);
    writer->count += length;
    writer->text[writer->count] = '\0';
}

void write_text(struct writer *writer, const char *text)
{
    write_span(writer, text, strlen(text));
}

void write_quoted(struct writer *writer, const char *text)
{
    static const char meant[] = "\"\\\b\f\n\r\t";
    static const char names[] = "\"\\bfnrt";

    write_span(writer, "\"", 1);
    for (; *text != '\0'; text++) {
        const char *found = strchr(meant, *text);
        char escape[8];

        if (found != NULL) {
            sprintf(escape, "\\%c", names[found - meant]);
            write_text(writer, escape);
        } else if ((unsigned char)*text < 0x20) {
            sprintf(escape, "\\u%04x", (unsigned)*text);
            write_text(writer, escape);
        } else {
            write_span(writer, text, 1);
        }
    }
    write_span(writer, "\"", 1);
}

static void write_members(struct writer *writer, const struct json *value)
{
    const struct json *member;

    for (member = value->first; member != NULL; member = member->next) {
        if (value->kind == JSON_OBJECT) {
            write_quoted(writer, member->key);
            write_span(writer, ":", 1);
        }
        write_json(writer, member);
        if (member->next != NULL) {
            write_span(writer, ",", 1);
        }
    }
}

void write_json(struct writer *writer, const struct json *value)
{
    if (value->kind == JSON_NULL) {
        write_text(writer, "null");
    } else if (value->kind == JSON_BOOLEAN) {
        write_text(writer, value->integer ? "true" : "false");
    } else if (value->kind == JSON_INTEGER || value->kind == JSON_REAL) {
        write_text(writer, value->text);
    } else if (value->kind == JSON_TEXT) {
        write_quoted(writer, value->text);
    } else {
        write_span(writer, value->kind == JSON_LIST ? "[" : "{", 1);
        write_members(writer, value);
        write_span(writer, value->kind == JSON_LIST ? "]" : "}", 1);
    }
}

/* Whether the keys of all objects rise strictly and no number is written as -0. */
static int is_ordered(const struct json *value)
{
    const struct json *member;

    if (value->kind == JSON_INTEGER && strcmp(value->text, "-0") == 0) {
        return 0;
    }
    for (member = value->first; member != NULL; member = member->next) {
        int rises = value->kind != JSON_OBJECT || member->next == NULL || strcmp(member->key, member->next->key) < 0;

        if (!rises || !is_ordered(member)) {
            return 0;
        }
    }
    return 1;
}

int json_is_canonical(const struct json *value, const char *text, size_t length)
{
    struct writer writer = {NULL, 0, 0};

    write_json(&writer, value);
    return is_ordered(value) && writer.count == length && memcmp(writer.text, text, length) == 0;
}
