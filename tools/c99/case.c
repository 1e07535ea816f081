#include "case.h"

#include <string.h>

#include "arithmetic.h"
#include "entropy.h"
#include "files.h"
#include "functions.h"
#include "integers.h"
#include "job.h"
#include "kinds.h"
#include "memory.h"
#include "program.h"
#include "stream.h"
#include "verdict.h"

static struct format unsigned_format(int bits)
{
    struct format format = {0, 0};

    format.bits = bits;
    return format;
}

static struct format signed_format(int bits)
{
    struct format format = {0, 1};

    format.bits = bits;
    return format;
}

static struct array case_constant(const void *context, const char *operation, const char *constant)
{
    (void)operation;
    return input_named(context, constant)->array;
}

/* The format of a parameter. */
static struct format parameter_format(const struct job *job, const char *key)
{
    struct operation named;

    memset(&named, 0, sizeof named);
    named.parameters = job->parameters;
    named.names_formats = 1;
    return format_of(&named, key);
}

/* The number of channels of a tensor that an operation reads (PROG-2). */
static int64_t channels_of(const struct array *array)
{
    require(array->rank == 3, "RC-SHAPE", "a tensor has not three axes");
    require(array->shape[0] >= 1 && array->shape[0] <= 65536, "RC-MODEL-RANGE",
            "a tensor has 1 to 65536 channels (PROG-2)");
    return array->shape[0];
}

/* A tensor that an operation reads has samples, all within its format; a program is checked before (PROG-3). */
static void require_readable(const struct array *array, struct format format)
{
    require(array->count > 0, "RC-SHAPE", "a tensor has no samples");
    require(lies_in(array, format), "RC-RANGE", "a value is outside its format");
}

static const struct declaration *declared(const char *name, int64_t channels, struct format format)
{
    struct declaration *declaration = allocate(1, sizeof *declaration);

    declaration->name = name;
    declaration->channels = channels;
    declaration->format = format;
    return declaration;
}

/* Fills the sources of an operation from `reads`, and the values they have (VEC-4). */
static const struct array **read_sources(const struct job *job, struct operation *operation)
{
    const char *words = text_of(operation, "reads");
    const struct array **values = allocate(strlen(words) + 1, sizeof *values);

    operation->sources = allocate(strlen(words) + 1, sizeof *operation->sources);
    while (*words != '\0') {
        size_t length = strcspn(words, " ");
        const struct input *input = found_input(job, words, length);
        struct format format;
        size_t k;

        require(input != NULL, "RC-MODEL-TENSOR", "a tensor of the case is missing");
        for (k = 0; k < operation->count; k++) {
            require(values[k] != &input->array, "RC-MODEL-SCHEMA", "two tensors have one name (PROG-2)");
        }
        format = parameter_format(job, joined("format_", input->name, ""));
        operation->sources[operation->count] = declared(input->name, channels_of(&input->array), format);
        values[operation->count++] = &input->array;
        words += length + (words[length] == ' ');
    }
    return values;
}

/* The tensor that one operation defines; `target` is set to its declaration (VEC-4). */
static struct array computed_target(const struct job *job, const struct kind *kind, const struct declaration **target)
{
    struct operation operation;
    const struct array **values;
    const char *name;
    int64_t channels;
    size_t k;

    memset(&operation, 0, sizeof operation);
    operation.kind = kind;
    operation.parameters = job->parameters;
    operation.names_formats = 1;
    operation.name = kind->name;
    values = read_sources(job, &operation);
    name = safe_name(json_get(job->parameters, "target"));
    channels = integer_within(&operation, "channels", 1, 65536);
    operation.target = declared(name, channels, parameter_format(job, joined("format_", name, "")));
    find_constants(&operation, case_constant, job);
    check_operation(&operation);
    for (k = 0; k < operation.count; k++) {
        require_readable(values[k], operation.sources[k]->format);
    }
    *target = operation.target;
    return run_operation(&operation, values);
}

/* A case of one operation (VEC-4). */
static void run_operation_case(const struct job *job, const struct kind *kind)
{
    const struct declaration *target;
    struct array values = computed_target(job, kind, &target);

    write_output(job, target->name, &values, storage_of(target->format));
}

/* CLIP-2 */
static void run_relu_case(const struct job *job)
{
    struct input *x = input_named(job, "x");
    size_t k;

    for (k = 0; k < x->array.count; k++) {
        x->array.values[k] = relu(x->array.values[k]);
    }
    write_output(job, "y", &x->array, x->storage);
}

/* One of the operations of a layer, checked; `source` must live as long as the operation. */
static struct operation checked_part(const struct job *job, const struct kind *kind, const struct declaration **source,
                                     const struct declaration *target)
{
    struct operation operation;

    memset(&operation, 0, sizeof operation);
    operation.kind = kind;
    operation.parameters = job->parameters;
    operation.names_formats = 1;
    operation.name = kind->name;
    operation.count = 1;
    operation.sources = source;
    operation.target = target;
    find_constants(&operation, case_constant, job);
    check_operation(&operation);
    return operation;
}

/* Whether a layer is a transposed convolution. */
static int is_transposed(const struct job *job)
{
    const struct json *transposed = json_get(job->parameters, "transposed");

    require(json_is(transposed, JSON_BOOLEAN), "RC-MODEL-SCHEMA", "a layer is transposed or not");
    return (int)transposed->integer;
}

/* A convolution with its requantisation or its thresholds (VEC-4). */
static void run_layer_case(const struct job *job)
{
    const struct array *x = &input_named(job, "x")->array;
    const struct array *weight = &input_named(job, "weight")->array;
    const struct kind *first = is_transposed(job) ? &transposed_convolution_kind : &convolution_kind;
    const struct kind *second = found_input(job, "thresholds", 10) != NULL ? &scale_index_kind : &requantise_kind;
    const struct declaration *source;
    const struct declaration *middle;
    const struct declaration *target;
    struct operation layer;
    struct operation last;
    struct array accumulator;
    struct array y;

    require(weight->rank == 4 && weight->count > 0, "RC-MODEL-TENSOR", "the weights of a layer have four axes");
    source = declared("x", weight->shape[1], parameter_format(job, "source"));
    middle = declared("accumulator", weight->shape[0], parameter_format(job, "accumulator"));
    target = declared("y", weight->shape[0], parameter_format(job, "target"));
    layer = checked_part(job, first, &source, middle);
    last = checked_part(job, second, &middle, target);
    require(channels_of(x) == weight->shape[1], "RC-SHAPE", "the input has other channels than the weights");
    require_readable(x, source->format);
    accumulator = run_operation(&layer, &x);
    x = &accumulator;
    y = run_operation(&last, &x);
    write_tap(job, "accumulator", &accumulator, storage_of(middle->format));
    write_output(job, "y", &y, storage_of(target->format));
}

/* CDF-2 */
static void run_frequencies_case(const struct job *job)
{
    struct array row = row_of_counts(&input_named(job, "counts")->array);

    write_output(job, "row", &row, storage_of(signed_format(32)));
}

static struct rows rows_of(const struct job *job)
{
    return checked_rows(vector_named(job, "values"), vector_named(job, "starts"), vector_named(job, "offsets"));
}

/* The indexes of symbols, each that of a row. */
static struct array indexes_of(const struct job *job, const struct rows *rows)
{
    struct array indexes = vector_named(job, "indexes");

    require(lies_within(&indexes, 0, rows->count - 1), "RC-RANGE", "an index names no row");
    return indexes;
}

/* RANS-1 */
static void run_encode_case(const struct job *job)
{
    struct rows rows = rows_of(job);
    struct array indexes = indexes_of(job, &rows);
    struct array symbols = vector_named(job, "symbols");
    struct array payload;

    require(symbols.count == indexes.count, "RC-SHAPE", "there is not one index for each symbol");
    require(lies_in(&symbols, signed_format(16)), "RC-RANGE", "a symbol is not s16");
    payload = encode_symbols(&symbols, &indexes, &rows);
    write_output(job, "payload", &payload, storage_of(unsigned_format(8)));
}

static struct bytes bytes_named(const struct job *job, const char *name)
{
    struct array array = vector_named(job, name);

    require(lies_in(&array, unsigned_format(8)), "RC-RANGE", "a byte is not 0 .. 255");
    return bytes_of_array(&array, storage_of(unsigned_format(8)));
}

/* RANS-2, RANS-3 */
static void run_decode_case(const struct job *job)
{
    struct rows rows = rows_of(job);
    struct array indexes = indexes_of(job, &rows);
    struct array symbols = new_vector(indexes.count);
    struct decoder decoder = begin_decoding(bytes_named(job, "payload"));
    size_t k;

    for (k = 0; k < symbols.count; k++) {
        symbols.values[k] = decode_symbol(&decoder, &rows, indexes.values[k]);
    }
    end_decoding(&decoder);
    write_output(job, "symbols", &symbols, storage_of(signed_format(16)));
}

/* VEC-2 */
static uint32_t counter_random(uint64_t seed, uint64_t count)
{
    uint64_t z = seed * 0x9E3779B97F4A7C15 + (count + 1) * 0xD1B54A32D192ED03;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return (uint32_t)(z ^ z >> 31);
}

static int64_t natural(const struct job *job, const char *key)
{
    const struct json *value = json_get(job->parameters, key);

    require(json_is(value, JSON_INTEGER) && value->integer >= 0, "RC-RANGE", "a parameter is no natural number");
    return value->integer;
}

static void run_random_case(const struct job *job)
{
    struct array y = new_vector((size_t)natural(job, "count"));
    uint64_t seed = (uint64_t)natural(job, "seed");
    uint64_t first = (uint64_t)natural(job, "first");
    size_t k;

    for (k = 0; k < y.count; k++) {
        y.values[k] = counter_random(seed, first + k);
    }
    write_output(job, "y", &y, storage_of(unsigned_format(32)));
}

static void write_taps(const struct job *job, const struct program *program, const struct array *values)
{
    size_t k;

    for (k = 0; k < program->tensors; k++) {
        write_tap(job, program->tensor[k].name, &values[k], storage_of(program->tensor[k].format));
    }
}

/* HYP-2 */
static void run_stream_case(const struct job *job)
{
    const char *suite = job->request->suite;
    const char *models = suite == NULL ? joined(job->request->folder, "/../../../models/", "")
                                       : joined(suite, "/models/", "");
    const char *name = safe_name(json_get(job->parameters, "model"));
    struct bytes model = read_file(joined(models, name, ".rcm"), LONGEST_FILE);
    struct decoded decoded = decode_stream(model, bytes_named(job, "stream"));

    write_taps(job, &decoded.h_s, decoded.h_s_values);
    write_taps(job, &decoded.g_s, decoded.g_s_values);
    write_output(job, "picture", &decoded.picture, storage_of(unsigned_format(8)));
}

/* A function of this specification (VEC-4). */
static void run_function_case(const struct job *job)
{
    const struct json *name = json_get(job->parameters, "name");
    const struct function *function = json_is(name, JSON_TEXT) ? function_named(name->text) : NULL;
    struct array values;

    if (function == NULL) {
        unsupported("a function that this decoder does not have");
    }
    values = values_of(function, &input_named(job, "arguments")->array);
    write_output(job, "values", &values, storage_of(function->format));
}

/* WC-1 */
static void run_integers_case(const struct job *job)
{
    const struct json *dependent = json_get(job->parameters, "dependent");
    struct array integers;
    int64_t shape[3];

    require(json_is(dependent, JSON_BOOLEAN), "RC-RANGE", "integers are levels of the trellis or not");
    shape[0] = natural(job, "outputs");
    shape[1] = natural(job, "inputs");
    shape[2] = natural(job, "taps");
    integers = decode_integers(bytes_named(job, "payload"), shape, (int)dependent->integer);
    write_output(job, "integers", &integers, storage_of(signed_format(16)));
}

/* A part of a volume. */
struct rectangle {
    int64_t top;
    int64_t left;
    int64_t height;
    int64_t width;
};

/* PATCH-1, of a volume that is computed whole */
static struct array cropped(const struct array *whole, const struct rectangle *part)
{
    struct array volume;
    int64_t c;
    int64_t y;

    require(part->height >= 1 && part->height <= whole->shape[1] && part->top <= whole->shape[1] - part->height &&
                part->width >= 1 && part->width <= whole->shape[2] && part->left <= whole->shape[2] - part->width,
            "RC-RANGE", "a rectangle does not lie within its tensor (PATCH-1)");
    volume = new_volume(whole->shape[0], part->height, part->width);
    for (c = 0; c < whole->shape[0]; c++) {
        for (y = 0; y < part->height; y++) {
            memcpy(at(&volume, c, y, 0), at(whole, c, part->top + y, part->left),
                   (size_t)part->width * sizeof *whole->values);
        }
    }
    return volume;
}

/* PATCH-1, PATCH-5 */
static void run_patch_case(const struct job *job)
{
    const struct json *name = json_get(job->parameters, "kind");
    const struct kind *kind = json_is(name, JSON_TEXT) ? kind_named(name->text) : NULL;
    const struct declaration *target;
    struct rectangle part;
    struct array values;

    require(kind != NULL, "RC-MODEL-SCHEMA", "an unknown kind of operation (PROG-1)");
    require(kind != &scale_space_kind && kind != &warp_kind, "RC-MODEL-FAMILY",
            "a scale space and a warp are not computed in part (PATCH-5)");
    part.top = natural(job, "patch_top");
    part.left = natural(job, "patch_left");
    part.height = natural(job, "patch_height");
    part.width = natural(job, "patch_width");
    values = computed_target(job, kind, &target);
    values = cropped(&values, &part);
    write_output(job, target->name, &values, storage_of(target->format));
}

/* MODEL-3 */
static void run_model_case(const struct job *job)
{
    struct array identity = model_identity(bytes_named(job, "file"));

    write_output(job, "identity", &identity, storage_of(unsigned_format(8)));
}

static const struct {
    const char *operation;
    void (*run)(const struct job *job);
} others[] = {{"relu", run_relu_case},          {"layer", run_layer_case},        {"frequencies", run_frequencies_case},
              {"rans_encode", run_encode_case}, {"rans_decode", run_decode_case}, {"counter_random", run_random_case},
              {"stream", run_stream_case},      {"function", run_function_case},  {"integers", run_integers_case},
              {"patch", run_patch_case},        {"model", run_model_case}};

static void run_job(const struct job *job, const char *operation)
{
    const struct kind *kind = kind_named(operation);
    size_t k;

    if (kind != NULL) {
        run_operation_case(job, kind);
        return;
    }
    for (k = 0; k < sizeof others / sizeof *others; k++) {
        if (strcmp(others[k].operation, operation) == 0) {
            others[k].run(job);
            return;
        }
    }
    unsupported("an operation that this decoder does not compute");
}

void run_case(const struct request *request, struct written *written)
{
    const char *operation;
    struct job job = read_job(request, written, &operation);

    run_job(&job, operation);
}
