#include "job.h"

#include <string.h>

#include "files.h"
#include "memory.h"
#include "verdict.h"

#define LONGEST_TEXT ((size_t)1 << 24)

const char *safe_name(const struct json *value)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    if (!json_is(value, JSON_TEXT) || value->text[0] == '\0' || value->text[0] == '.' ||
        strlen(value->text) >= LONGEST_NAME || strspn(value->text, letters) != strlen(value->text)) {
        broken("a name of case.json is missing or no name of a file");
    }
    return value->text;
}

static struct storage storage_named(const struct json *dtype)
{
    static const char *const names[] = {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"};
    struct storage storage = {0, 0};
    size_t k;

    for (k = 0; k < sizeof names / sizeof *names; k++) {
        if (json_equals(dtype, names[k])) {
            storage.bytes = (size_t)1 << k % 4;
            storage.is_signed = k < 4;
        }
    }
    if (storage.bytes == 0) {
        broken("a dtype of case.json is unknown");
    }
    return storage;
}

static int shape_from_json(const struct json *value, int64_t shape[MOST_AXES])
{
    const struct json *side;
    int rank = 0;

    if (!json_is(value, JSON_LIST) || value->count > MOST_AXES) {
        broken("a shape of case.json is missing or has too many axes");
    }
    for (side = value->first; side != NULL; side = side->next) {
        if (side->kind != JSON_INTEGER || side->integer < 0) {
            broken("a shape of case.json holds something other than lengths");
        }
        shape[rank++] = side->integer;
    }
    return rank;
}

static struct input read_input(const struct job *job, const struct json *value)
{
    const struct json *bits = json_get(value, "bits");
    const struct json *is_signed = json_get(value, "signed");
    struct storage storage = storage_named(json_get(value, "dtype"));
    int64_t shape[MOST_AXES];
    int rank = shape_from_json(json_get(value, "shape"), shape);
    struct input input;

    if (!json_is(bits, JSON_INTEGER) || bits->integer < 1 || bits->integer > 48 || !json_is(is_signed, JSON_BOOLEAN)) {
        broken("an input of case.json has no format");
    }
    input.name = safe_name(json_get(value, "name"));
    input.format.bits = (int)bits->integer;
    input.format.is_signed = (int)is_signed->integer;
    input.storage = storage;
    input.array = array_from_bytes(
        read_file(joined(job->request->folder, "/in.", joined(input.name, ".le", "")), LONGEST_FILE), storage, rank,
        shape);
    return input;
}

static void read_inputs(struct job *job, const struct json *inputs)
{
    const struct json *value;

    if (!json_is(inputs, JSON_LIST)) {
        broken("case.json has no inputs");
    }
    job->inputs = allocate(inputs->count, sizeof *job->inputs);
    for (value = inputs->first; value != NULL; value = value->next) {
        job->inputs[job->count++] = read_input(job, value);
    }
}

struct input *found_input(const struct job *job, const char *name, size_t length)
{
    size_t k;

    for (k = 0; k < job->count; k++) {
        if (strlen(job->inputs[k].name) == length && memcmp(job->inputs[k].name, name, length) == 0) {
            return &job->inputs[k];
        }
    }
    return NULL;
}

struct input *input_named(const struct job *job, const char *name)
{
    struct input *input = found_input(job, name, strlen(name));

    require(input != NULL, "RC-MODEL-TENSOR", "an input of the case is missing");
    return input;
}

struct array vector_named(const struct job *job, const char *name)
{
    struct array array = input_named(job, name)->array;

    require(array.rank == 1, "RC-SHAPE", "an input has the wrong rank");
    return array;
}

/* Notes the name of a file, as far as there is room. */
static void note(char names[MOST_WRITTEN][LONGEST_NAME], size_t *count, const char *name)
{
    if (*count == MOST_WRITTEN || strlen(name) >= LONGEST_NAME) {
        broken("too many results, or too long a name");
    }
    strcpy(names[(*count)++], name);
}

static void write_result(const struct job *job, const char *prefix, const char *name, const struct array *array,
                         struct storage storage)
{
    struct bytes bytes = bytes_of_array(array, storage);

    write_file(joined(joined(job->request->out, "/", prefix), name, ".le"), bytes.at, bytes.count);
}

void write_output(const struct job *job, const char *name, const struct array *array, struct storage storage)
{
    write_result(job, "out.", name, array, storage);
    note(job->written->output, &job->written->outputs, name);
}

void write_tap(const struct job *job, const char *name, const struct array *array, struct storage storage)
{
    const struct json *tap;

    for (tap = json_is(job->taps, JSON_LIST) ? job->taps->first : NULL; tap != NULL; tap = tap->next) {
        if (json_equals(json_get(tap, "name"), name)) {
            write_result(job, "tap.", name, array, storage);
            note(job->written->tap, &job->written->taps, name);
            return;
        }
    }
}

struct job read_job(const struct request *request, struct written *written, const char **operation)
{
    struct bytes text = read_file(joined(request->folder, "/case.json", ""), LONGEST_TEXT);
    const struct json *description = json_parse((const char *)text.at, text.count);
    const struct json *named = json_get(description, "operation");
    struct job job;

    memset(&job, 0, sizeof job);
    job.request = request;
    job.written = written;
    job.parameters = json_get(description, "parameters");
    job.taps = json_get(description, "taps");
    if (!json_is(named, JSON_TEXT) || !json_is(job.parameters, JSON_OBJECT)) {
        broken("case.json is not the description of a case");
    }
    *operation = named->text;
    read_inputs(&job, json_get(description, "inputs"));
    return job;
}
