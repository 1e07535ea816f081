#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arithmetic.h"
#include "checksums.h"
#include "memory.h"
#include "program.h"
#include "verdict.h"

#define FILE_ERROR "RC-MODEL-FILE"
#define SCHEMA "RC-MODEL-SCHEMA"
#define TENSOR "RC-MODEL-TENSOR"

/* Types of safetensors. */
static const struct {
    const char *name;
    const char *dtype;
    size_t item;
} types[] = {{"I8", "int8", 1},   {"I16", "int16", 2}, {"I32", "int32", 4}, {"I64", "int64", 8}, {"U8", NULL, 1},
             {"U16", NULL, 2},    {"U32", NULL, 4},    {"U64", NULL, 8},    {"BOOL", NULL, 1},   {"F8_E4M3", NULL, 1},
             {"F8_E5M2", NULL, 1}, {"F16", NULL, 2},    {"BF16", NULL, 2},   {"F32", NULL, 4},    {"F64", NULL, 8}};

static void set_type(struct stored *stored, const struct json *dtype)
{
    size_t k;

    for (k = 0; k < sizeof types / sizeof *types; k++) {
        if (json_equals(dtype, types[k].name)) {
            stored->dtype = types[k].dtype;
            stored->item = types[k].item;
        }
    }
    require(stored->item > 0, FILE_ERROR, "a tensor has an unknown type");
}

static int64_t offset_in(const struct json *value, int64_t limit)
{
    require(json_is(value, JSON_INTEGER) && value->integer >= 0 && value->integer <= limit, FILE_ERROR,
            "a number of the header is no length or offset");
    return value->integer;
}

/* The bytes that the shape and the type of a tensor need. */
static uint64_t needed_bytes(const struct stored *stored, int64_t limit)
{
    const struct json *side;
    uint64_t bytes = stored->item;

    for (side = stored->shape->first; side != NULL; side = side->next) {
        bytes *= (uint64_t)offset_in(side, limit);
        require(bytes <= (uint64_t)limit, FILE_ERROR, "a tensor is longer than the file");
    }
    return bytes;
}

static struct stored stored_from_json(const struct json *value, int64_t limit)
{
    struct stored stored;
    const struct json *offsets = json_get(value, "data_offsets");

    memset(&stored, 0, sizeof stored);
    stored.name = value->key;
    stored.shape = json_get(value, "shape");
    require(json_has_exactly(value, "data_offsets dtype shape") && json_is(stored.shape, JSON_LIST) &&
                json_is(offsets, JSON_LIST) && offsets->count == 2,
            FILE_ERROR, "a tensor has not a type, a shape and two offsets");
    set_type(&stored, json_get(value, "dtype"));
    stored.begin = (uint64_t)offset_in(offsets->first, limit);
    stored.end = (uint64_t)offset_in(offsets->first->next, limit);
    require(stored.begin <= stored.end && stored.end - stored.begin == needed_bytes(&stored, limit), FILE_ERROR,
            "a tensor has not the length of its shape");
    return stored;
}

static int by_offset(const void *left, const void *right)
{
    const struct stored *a = left;
    const struct stored *b = right;

    if (a->begin != b->begin) {
        return a->begin < b->begin ? -1 : 1;
    }
    return a->end < b->end ? -1 : a->end > b->end;
}

static int by_name(const void *left, const void *right)
{
    return strcmp(((const struct stored *)left)->name, ((const struct stored *)right)->name);
}

/* All bytes belong to one tensor each, and no name stands twice; leaves the tensors by name. */
static void check_layout(struct model *model)
{
    uint64_t end = 0;
    size_t k;

    qsort(model->stored, model->count, sizeof *model->stored, by_offset);
    for (k = 0; k < model->count; k++) {
        require(model->stored[k].begin == end, FILE_ERROR, "tensors overlap or leave gaps");
        end = model->stored[k].end;
    }
    require(end == model->data.count, FILE_ERROR, "the tensors are not the whole file");
    qsort(model->stored, model->count, sizeof *model->stored, by_name);
    for (k = 1; k < model->count; k++) {
        require(strcmp(model->stored[k - 1].name, model->stored[k].name) != 0, FILE_ERROR, "a tensor stands twice");
    }
}

/* MODEL-1: the header and the tensors. Gives the text of the description. */
static const char *read_header(struct model *model, struct bytes content)
{
    const struct json *header;
    const struct json *member;
    const struct json *text;
    uint64_t length = 0;
    int k;

    require(content.count >= 8, FILE_ERROR, "the file has no header");
    for (k = 7; k >= 0; k--) {
        length = length << 8 | content.at[k];
    }
    require(length <= content.count - 8, FILE_ERROR, "the file ends in its header");
    header = json_parse((const char *)content.at + 8, (size_t)length);
    require(json_is(header, JSON_OBJECT), FILE_ERROR, "the header is no JSON object");
    text = json_get(json_get(header, "__metadata__"), "refcodec");
    require(json_is(text, JSON_TEXT), FILE_ERROR, "the metadata holds no description");
    model->data.at = content.at + 8 + length;
    model->data.count = content.count - 8 - (size_t)length;
    model->stored = allocate(header->count, sizeof *model->stored);
    for (member = header->first; member != NULL; member = member->next) {
        if (strcmp(member->key, "__metadata__") != 0) {
            model->stored[model->count++] = stored_from_json(member, (int64_t)model->data.count);
        }
    }
    check_layout(model);
    return text->text;
}

static void require_members(const struct json *object, enum json_kind kind, const char *message)
{
    const struct json *member;

    require(json_is(object, JSON_OBJECT), SCHEMA, message);
    for (member = object->first; member != NULL; member = member->next) {
        require(member->kind == kind, SCHEMA, message);
    }
}

/* MODEL-2 */
static void read_description(struct model *model, const char *text)
{
    const struct json *description = json_parse(text, strlen(text));

    require(description != NULL, FILE_ERROR, "the description is no JSON");
    require(json_has_exactly(description, "family identity programs provenance schema settings"), SCHEMA,
            "the description has missing or surplus keys (MODEL-2)");
    require(json_equals(json_get(description, "schema"), "refcodec-model/1"), SCHEMA, "an unknown schema (MODEL-2)");
    require(json_is(json_get(description, "family"), JSON_TEXT), SCHEMA, "the family is a text (MODEL-2)");
    require(json_is(json_get(description, "identity"), JSON_TEXT), SCHEMA, "the identity is a text (MODEL-2)");
    require_members(json_get(description, "settings"), JSON_INTEGER, "settings must be integers (MODEL-2)");
    require_members(json_get(description, "provenance"), JSON_TEXT, "provenance must be texts (MODEL-2)");
    require_members(json_get(description, "programs"), JSON_OBJECT, "programs must be objects (MODEL-2)");
    require(json_is_canonical(description, text, strlen(text)), SCHEMA, "the description is not canonical (MODEL-2)");
    model->description = description;
    model->family = json_get(description, "family")->text;
    model->identity = json_get(description, "identity")->text;
}

struct model read_model(struct bytes content)
{
    struct model model;

    memset(&model, 0, sizeof model);
    read_description(&model, read_header(&model, content));
    return model;
}

/* MODEL-2: no narrower type holds all values. */
static void require_narrowest(const struct array *array, size_t bytes)
{
    int64_t end = bytes == 1 ? 0 : power_of_two(4 * (int)bytes - 1);

    require(bytes == 1 || !lies_within(array, -end, end - 1), TENSOR,
            "a tensor is stored wider than it needs (MODEL-2)");
}

/* A tensor of integers, which counts as used. */
static struct array stored_array(struct model *model, const char *name)
{
    struct storage storage = {0, 1};
    int64_t shape[MOST_AXES] = {0};
    struct stored wanted;
    struct stored *found;
    const struct json *side;
    struct array array;
    struct bytes bytes;
    int rank = 0;

    wanted.name = name;
    found = bsearch(&wanted, model->stored, model->count, sizeof wanted, by_name);
    require(found != NULL && found->dtype != NULL && found->shape->count <= MOST_AXES, TENSOR,
            "an integer tensor is missing or of another type (MODEL-4)");
    for (side = found->shape->first; side != NULL; side = side->next) {
        shape[rank++] = side->integer;
    }
    found->used = 1;
    storage.bytes = found->item;
    bytes.at = model->data.at + found->begin;
    bytes.count = (size_t)(found->end - found->begin);
    array = array_from_bytes(bytes, storage, rank, shape);
    require_narrowest(&array, found->item);
    return array;
}

struct constant_place {
    struct model *model;
    const char *program;
};

static struct array stored_constant(const void *context, const char *operation, const char *constant)
{
    const struct constant_place *place = context;
    const char *folder = joined("programs/", place->program, "/");

    return stored_array(place->model, joined(joined(folder, operation, "/"), constant, ""));
}

struct program model_program(struct model *model, const char *name)
{
    const struct json *description = json_get(json_get(model->description, "programs"), name);
    struct constant_place place;

    require(description != NULL, SCHEMA, "a program is missing (FAM-1)");
    place.model = model;
    place.program = name;
    return program_from_json(description, stored_constant, &place);
}

struct array model_table(struct model *model, const char *name)
{
    return stored_array(model, joined("tables/", name, ""));
}

static int begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

void require_no_surplus_constant(const struct model *model)
{
    size_t k;

    for (k = 0; k < model->count; k++) {
        const struct stored *stored = &model->stored[k];
        int elsewhere = begins_with(stored->name, "encoder/") || begins_with(stored->name, "tables/");

        require(stored->used || elsewhere, TENSOR, "a surplus tensor (MODEL-4)");
        require(stored->dtype != NULL || !begins_with(stored->name, "tables/"), TENSOR,
                "a table holds other values than signed integers (MODEL-1)");
    }
}

void require_no_surplus_table(const struct model *model)
{
    size_t k;

    for (k = 0; k < model->count; k++) {
        require(model->stored[k].used || begins_with(model->stored[k].name, "encoder/"), TENSOR,
                "a surplus table (MODEL-4)");
    }
}

/* One entry of `tensors` (MODEL-3). */
static void write_stored(struct writer *writer, const struct model *model, const struct stored *stored)
{
    char hex[65];

    sha256_hex(model->data.at + stored->begin, (size_t)(stored->end - stored->begin), hex);
    write_quoted(writer, stored->name);
    write_text(writer, ":{\"dtype\":");
    write_quoted(writer, stored->dtype);
    write_text(writer, ",\"sha256\":");
    write_quoted(writer, hex);
    write_text(writer, ",\"shape\":");
    write_json(writer, stored->shape);
    write_text(writer, "}");
}

static void write_field(struct writer *writer, const struct model *model, const char *key)
{
    write_quoted(writer, key);
    write_text(writer, ":");
    write_json(writer, json_get(model->description, key));
    write_text(writer, ",");
}

void require_identity(const struct model *model)
{
    struct writer writer = {NULL, 0, 0};
    const char *before = "";
    char hex[65];
    size_t k;

    write_text(&writer, "{");
    write_field(&writer, model, "family");
    write_field(&writer, model, "programs");
    write_field(&writer, model, "schema");
    write_field(&writer, model, "settings");
    write_text(&writer, "\"tensors\":{");
    for (k = 0; k < model->count; k++) {
        if (!begins_with(model->stored[k].name, "encoder/")) {
            write_text(&writer, before);
            write_stored(&writer, model, &model->stored[k]);
            before = ",";
        }
    }
    write_text(&writer, "}}");
    sha256_hex((const uint8_t *)writer.text, writer.count, hex);
    require(strcmp(hex, model->identity) == 0, "RC-MODEL-HASH", "the content has another identity (MODEL-3)");
}
