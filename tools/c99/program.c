#include "program.h"

#include <string.h>

#include "memory.h"
#include "verdict.h"

#define SCHEMA "RC-MODEL-SCHEMA"
#define MOST_TENSORS 4096

void find_constants(struct operation *operation, constant_source source, const void *context)
{
    const char *words = operation->kind->constants;
    int k;

    for (k = 0; *words != '\0'; k++) {
        size_t length = strcspn(words, " ");
        char *name = allocate(length + 1, 1);

        memcpy(name, words, length);
        operation->constants[k] = source(context, operation->name, name);
        words += length + (words[length] == ' ');
    }
}

/* PROG-2 */
static const char *checked_name(const struct json *value)
{
    const char *k;

    require(json_is(value, JSON_TEXT) && value->text[0] != '\0', SCHEMA, "a name is missing (PROG-2)");
    for (k = value->text; *k != '\0'; k++) {
        int letter = (*k >= 'a' && *k <= 'z') || (*k >= 'A' && *k <= 'Z');

        require(letter || (*k >= '0' && *k <= '9') || *k == '.' || *k == '_', SCHEMA,
                "a name has other characters than letters, digits, dots and underscores (PROG-2)");
    }
    return value->text;
}

static struct declaration declaration_from_json(const struct json *value)
{
    struct declaration declaration;
    const struct json *channels = json_get(value, "channels");

    require(json_has_exactly(value, "channels format name") && json_is(channels, JSON_INTEGER), SCHEMA,
            "a tensor has a name, channels and a format (PROG-2)");
    declaration.name = checked_name(json_get(value, "name"));
    declaration.format = format_from_json(json_get(value, "format"));
    declaration.channels = channels->integer;
    require(channels->integer >= 1 && channels->integer <= 65536, "RC-MODEL-RANGE",
            "a tensor has 1 to 65536 channels (PROG-2)");
    return declaration;
}

/* The tensor of a name among the first `count`. */
static const struct declaration *defined(const struct program *program, size_t count, const struct json *name)
{
    size_t k;

    for (k = 0; k < count; k++) {
        if (json_equals(name, program->tensor[k].name)) {
            return &program->tensor[k];
        }
    }
    reject(SCHEMA, "an operation reads a tensor that is not defined before it (PROG-2)");
}

/* Fills the sources of operation k from `source`, a name, or `sources`, a list of names. */
static void read_sources(const struct program *program, size_t k, const struct json *value)
{
    struct operation *operation = &program->operation[k];
    size_t before = program->inputs + k;
    const struct json *list = json_get(value, "sources");
    const struct json *name;

    operation->count = operation->kind->sources == 1 ? 1 : list == NULL ? 0 : list->count;
    operation->sources = allocate(operation->count, sizeof *operation->sources);
    if (operation->kind->sources == 1) {
        operation->sources[0] = defined(program, before, json_get(value, "source"));
        return;
    }
    require(json_is(list, JSON_LIST), SCHEMA, "the sources of an operation are a list of names");
    for (name = list->first, k = 0; name != NULL; name = name->next, k++) {
        operation->sources[k] = defined(program, before, name);
    }
}

/* Reads operation k, which defines the tensor behind the inputs and the k operations before. */
static void read_operation(const struct program *program, size_t k, const struct json *value)
{
    struct operation *operation = &program->operation[k];
    const struct json *kind = json_get(value, "kind");
    const char *sources;

    require(json_is(kind, JSON_TEXT), SCHEMA, "an operation has no kind");
    operation->kind = kind_named(kind->text);
    require(operation->kind != NULL, SCHEMA, "an unknown kind of operation (PROG-1)");
    sources = operation->kind->sources == 1 ? "kind name target source" : "kind name target sources";
    if (operation->kind->numbers[0] != '\0') {
        sources = joined(sources, " ", operation->kind->numbers);
    }
    require(json_has_exactly(value, sources), SCHEMA, "an operation has missing or surplus keys (MODEL-4)");
    operation->name = checked_name(json_get(value, "name"));
    operation->parameters = value;
    operation->target = &program->tensor[program->inputs + k];
    require(json_equals(json_get(value, "target"), operation->target->name), SCHEMA,
            "the tensors do not stand in the order of their operations (PROG-2)");
    read_sources(program, k, value);
}

/* PROG-2, PROG-5: names differ, and every input is read. */
static void check_names(const struct program *program)
{
    size_t k;
    size_t n;
    size_t s;

    for (k = 0; k < program->tensors; k++) {
        for (n = 0; n < k; n++) {
            require(strcmp(program->tensor[k].name, program->tensor[n].name) != 0, SCHEMA, "tensor names repeat");
        }
    }
    for (k = 0; k < program->operations; k++) {
        for (n = 0; n < k; n++) {
            require(strcmp(program->operation[k].name, program->operation[n].name) != 0, SCHEMA,
                    "operation names repeat");
        }
    }
    for (k = 0; k < program->inputs; k++) {
        int read = 0;

        for (n = 0; n < program->operations; n++) {
            for (s = 0; s < program->operation[n].count; s++) {
                read |= program->operation[n].sources[s] == &program->tensor[k];
            }
        }
        require(read, SCHEMA, "an input is not read (PROG-5)");
    }
}

static struct program described(const struct json *description)
{
    const struct json *tensors = json_get(description, "tensors");
    const struct json *operations = json_get(description, "operations");
    struct program program;
    const struct json *value;
    size_t k;

    require(json_has_exactly(description, "operations tensors") && json_is(tensors, JSON_LIST) &&
                json_is(operations, JSON_LIST) && tensors->count > operations->count && operations->count > 0,
            SCHEMA, "a program has operations and a tensor for each and for each input (PROG-2)");
    if (tensors->count > MOST_TENSORS) {
        broken("a program has more tensors than this decoder takes");
    }
    program.tensors = tensors->count;
    program.operations = operations->count;
    program.inputs = program.tensors - program.operations;
    program.tensor = allocate(program.tensors, sizeof *program.tensor);
    program.operation = allocate(program.operations, sizeof *program.operation);
    for (value = tensors->first, k = 0; value != NULL; value = value->next, k++) {
        program.tensor[k] = declaration_from_json(value);
    }
    for (value = operations->first, k = 0; value != NULL; value = value->next, k++) {
        read_operation(&program, k, value);
    }
    check_names(&program);
    return program;
}

struct program program_from_json(const struct json *description, constant_source source, const void *context)
{
    struct program program = described(description);
    size_t k;

    for (k = 0; k < program.operations; k++) {
        find_constants(&program.operation[k], source, context);
    }
    for (k = 0; k < program.operations; k++) {
        check_operation(&program.operation[k]);
    }
    return program;
}

void check_operation(const struct operation *operation)
{
    size_t wanted = operation->kind->sources;

    require(wanted == 0 || operation->count == wanted, "RC-MODEL-TENSOR", "an operation reads too few or many tensors");
    require(operation->count > 0, "RC-MODEL-TENSOR", "an operation reads nothing");
    operation->kind->check(operation);
}

static struct size size_of(const struct array *volume)
{
    struct size size;

    size.height = volume->shape[1];
    size.width = volume->shape[2];
    return size;
}

static void require_same_size(const struct operation *operation, struct size a, struct size b)
{
    require_size(operation, a.height == b.height && a.width == b.width, "the sources differ in height or width");
}

/* The size of the target; no side is longer than a case can hold. */
static struct size target_size(const struct operation *operation, struct size source)
{
    struct size size = operation->kind->size(operation, source);

    if (size.height > (int64_t)MEMORY_LIMIT || size.width > (int64_t)MEMORY_LIMIT) {
        broken("a tensor is too large");
    }
    return size;
}

struct array run_operation(const struct operation *operation, const struct array *const *sources)
{
    struct size size = size_of(sources[0]);
    struct array target;
    size_t k;

    for (k = 1; k < operation->count; k++) {
        require_same_size(operation, size_of(sources[k]), size);
    }
    size = target_size(operation, size);
    target = new_volume(operation->target->channels, size.height, size.width);
    operation->kind->run(operation, sources, &target);
    return target;
}

void propagate_sizes(const struct program *program, struct size *sizes)
{
    size_t k;
    size_t s;

    for (k = 0; k < program->operations; k++) {
        const struct operation *operation = &program->operation[k];
        struct size first = sizes[operation->sources[0] - program->tensor];

        for (s = 1; s < operation->count; s++) {
            require_same_size(operation, sizes[operation->sources[s] - program->tensor], first);
        }
        sizes[program->inputs + k] = target_size(operation, first);
    }
}

void run_program(const struct program *program, struct array *values)
{
    size_t k;
    size_t s;

    for (k = 0; k < program->operations; k++) {
        const struct operation *operation = &program->operation[k];
        const struct array **sources = allocate(operation->count, sizeof *sources);

        for (s = 0; s < operation->count; s++) {
            sources[s] = &values[operation->sources[s] - program->tensor];
        }
        values[program->inputs + k] = run_operation(operation, sources);
    }
}

size_t only_output(const struct program *program)
{
    size_t found = program->tensors;
    size_t t;
    size_t k;
    size_t s;

    for (t = 0; t < program->tensors; t++) {
        int read = 0;

        for (k = 0; k < program->operations; k++) {
            for (s = 0; s < program->operation[k].count; s++) {
                read |= program->operation[k].sources[s] == &program->tensor[t];
            }
        }
        if (!read) {
            require(found == program->tensors, SCHEMA, "a program has more outputs than one (HYP-1)");
            found = t;
        }
    }
    return found;
}
