#include "operation.h"

#include <string.h>

#include "kinds.h"
#include "verdict.h"

const struct kind *kind_named(const char *name)
{
    size_t k;

    for (k = 0; all_kinds[k] != NULL; k++) {
        if (strcmp(all_kinds[k]->name, name) == 0) {
            return all_kinds[k];
        }
    }
    return NULL;
}

static const struct json *parameter(const struct operation *operation, const char *key, enum json_kind kind)
{
    const struct json *value = json_get(operation->parameters, key);

    require(json_is(value, kind), "RC-MODEL-SCHEMA", "a parameter is missing or of another type");
    return value;
}

int64_t integer_of(const struct operation *operation, const char *key)
{
    return parameter(operation, key, JSON_INTEGER)->integer;
}

int64_t integer_within(const struct operation *operation, const char *key, int64_t lo, int64_t hi)
{
    int64_t value = integer_of(operation, key);

    require(lo <= value && value <= hi, "RC-MODEL-RANGE", "a parameter is outside its range");
    return value;
}

int flag_of(const struct operation *operation, const char *key)
{
    return (int)parameter(operation, key, JSON_BOOLEAN)->integer;
}

const char *text_of(const struct operation *operation, const char *key)
{
    return parameter(operation, key, JSON_TEXT)->text;
}

struct format format_from_json(const struct json *value)
{
    const struct json *bits = json_get(value, "bits");
    const struct json *is_signed = json_get(value, "signed");
    struct format format;

    require(json_has_exactly(value, "bits signed") && json_is(bits, JSON_INTEGER) && json_is(is_signed, JSON_BOOLEAN) &&
                bits->integer >= 1 && bits->integer <= 48,
            "RC-MODEL-SCHEMA", "a format has 1 to 48 bits and a sign (INT-1)");
    format.bits = (int)bits->integer;
    format.is_signed = (int)is_signed->integer;
    return format;
}

struct format format_of(const struct operation *operation, const char *key)
{
    struct format format;

    if (!operation->names_formats) {
        return format_from_json(json_get(operation->parameters, key));
    }
    format = format_named(text_of(operation, key));
    require(format.bits > 0, "RC-FORMAT", "a format has 1 to 48 bits and a sign (INT-1)");
    return format;
}

void require_channels(const struct operation *operation, int64_t source, int64_t target)
{
    require(operation->sources[0]->channels == source && operation->target->channels == target, "RC-MODEL-TENSOR",
            "the channels of source or target are others");
}

void require_same_channels(const struct operation *operation)
{
    size_t k;

    for (k = 0; k < operation->count; k++) {
        require(operation->sources[k]->channels == operation->target->channels, "RC-MODEL-TENSOR",
                "source and target have different channels");
    }
}

void require_same_format(const struct operation *operation)
{
    size_t k;

    for (k = 0; k < operation->count; k++) {
        require(same_format(operation->sources[k]->format, operation->target->format), "RC-MODEL-RANGE",
                "source and target have different formats");
    }
}

void require_vector(const struct operation *operation, int constant, int64_t count)
{
    require(has_shape(&operation->constants[constant], 1, count, -1, -1, -1), "RC-MODEL-TENSOR",
            "a constant has not one value for each channel");
}

/* In a case, arrays have a wrong shape; in a model, its programs are not as its family needs them (FAM-1). */
void require_size(const struct operation *operation, int holds, const char *message)
{
    require(holds, operation->names_formats ? "RC-SHAPE" : "RC-MODEL-SCHEMA", message);
}

struct size keep_size(const struct operation *operation, struct size source)
{
    (void)operation;
    return source;
}
