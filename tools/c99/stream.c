#include "stream.h"

#include <string.h>

#include "checksums.h"
#include "entropy.h"
#include "memory.h"
#include "model.h"
#include "verdict.h"

#define FIXED_HEADER 52
#define SECTION_ENTRY 12
#define LONGEST_SIDE 65535
#define MOST_PIXELS ((uint64_t)1 << 25)

#define G_S_FACTOR 16 /* PIC-1 */
#define H_S_FACTOR 4

static const char hex_digits[] = "0123456789abcdef";

/* A parsed stream of two sections (STREAM-1). */
struct stream {
    int channels;
    int64_t width;
    int64_t height;
    struct bytes z;
    struct bytes y;
};

static uint64_t number_at(struct bytes content, size_t offset, int bytes)
{
    uint64_t number = 0;

    while (bytes-- > 0) {
        number = number << 8 | content.at[offset + (size_t)bytes];
    }
    return number;
}

/* Magic, version and number of sections, which say where the header ends (STREAM-3). Gives the number. */
static size_t check_beginning(struct bytes content)
{
    static const uint8_t magic[4] = {0x52, 0x43, 0x42, 0x0A};
    size_t length = content.count < 4 ? content.count : 4;
    uint64_t sections;

    require(length > 0 && memcmp(content.at, magic, length) == 0, "RC-STREAM-MAGIC", "not a refcodec stream");
    require(content.count >= 6, "RC-STREAM-TRUNCATED", "the stream ends in its header");
    require(number_at(content, 4, 2) == 1, "RC-STREAM-VERSION", "the version is not 1");
    require(content.count >= FIXED_HEADER, "RC-STREAM-TRUNCATED", "the stream ends in its header");
    sections = number_at(content, 48, 4);
    require(sections == 1 || sections == 2 || sections == 4, "RC-STREAM-SECTION", "no family has so many sections");
    return (size_t)sections;
}

/* STREAM-2 and the other fields of the header */
static void check_fields(struct bytes content)
{
    uint64_t width = number_at(content, 8, 4);
    uint64_t height = number_at(content, 12, 4);

    require((content.at[6] == 1 || content.at[6] == 3) && content.at[7] == 8, "RC-STREAM-LIMIT",
            "a picture has 1 or 3 channels of 8 bits");
    require(width >= 1 && width <= LONGEST_SIDE && height >= 1 && height <= LONGEST_SIDE &&
                width * height <= MOST_PIXELS,
            "RC-STREAM-LIMIT", "width or height is outside its limits (STREAM-2)");
}

/* STREAM-4 */
static void check_tags(struct bytes content, size_t sections)
{
    static const char *const one[] = {"YSYM"};
    static const char *const two[] = {"ZSYM", "YSYM"};
    static const char *const four[] = {"CTXF", "ZSYM", "YANC", "YNAN"};
    const char *const *tags = sections == 1 ? one : sections == 2 ? two : four;
    size_t k;

    for (k = 0; k < sections; k++) {
        require(memcmp(content.at + FIXED_HEADER + SECTION_ENTRY * k, tags[k], 4) == 0, "RC-STREAM-SECTION",
                "the sections are no row of STREAM-4");
    }
}

/* The length and the checksum of each section, and that nothing follows the last one. */
static void check_sections(struct bytes content, size_t sections)
{
    size_t end = FIXED_HEADER + SECTION_ENTRY * sections + 4;
    size_t k;

    for (k = 0; k < sections; k++) {
        const uint8_t *begin = content.at + end;
        uint64_t length = number_at(content, FIXED_HEADER + SECTION_ENTRY * k + 4, 4);
        uint64_t checksum = number_at(content, FIXED_HEADER + SECTION_ENTRY * k + 8, 4);

        require(length <= content.count - end, "RC-STREAM-TRUNCATED", "the stream ends in a section");
        require(crc32_of(begin, (size_t)length) == checksum, "RC-STREAM-CRC",
                "the checksum of a section does not match");
        end += (size_t)length;
    }
    require(end == content.count, "RC-STREAM-TRAILING", "bytes follow the last section");
}

/* All checks that need no model (STREAM-3). Gives the number of sections. */
static size_t check_container(struct bytes content)
{
    size_t sections = check_beginning(content);
    size_t header = FIXED_HEADER + SECTION_ENTRY * sections;

    require(content.count >= header + 4, "RC-STREAM-TRUNCATED", "the stream ends in its header");
    require(crc32_of(content.at, header) == number_at(content, header, 4), "RC-STREAM-CRC",
            "the checksum of the header does not match");
    check_fields(content);
    check_tags(content, sections);
    check_sections(content, sections);
    return sections;
}

/* The stream of a model with the sections ZSYM and YSYM (STREAM-3, STREAM-5). */
static struct stream parse_stream(struct bytes content, const char *identity)
{
    size_t sections = check_container(content);
    struct stream stream;
    char hex[3];
    int k;

    for (k = 0; k < 32; k++) {
        hex[0] = hex_digits[content.at[16 + k] >> 4];
        hex[1] = hex_digits[content.at[16 + k] & 15];
        require(memcmp(hex, identity + 2 * k, 2) == 0, "RC-STREAM-MODEL", "the stream was made for another model");
    }
    require(sections == 2, "RC-STREAM-SECTION", "the sections are those of another family (STREAM-5)");
    stream.channels = content.at[6];
    stream.width = (int64_t)number_at(content, 8, 4);
    stream.height = (int64_t)number_at(content, 12, 4);
    stream.z.at = content.at + FIXED_HEADER + 2 * SECTION_ENTRY + 4;
    stream.z.count = (size_t)number_at(content, FIXED_HEADER + 4, 4);
    stream.y.at = stream.z.at + stream.z.count;
    stream.y.count = (size_t)number_at(content, FIXED_HEADER + SECTION_ENTRY + 4, 4);
    return stream;
}

/* A checked model of the family (HYP-1). */
struct hyperprior {
    const char *identity;
    struct program h_s;
    struct program g_s;
    struct rows z_rows;
    struct rows y_rows;
};

static struct rows model_rows(struct model *model, const char *latent)
{
    struct array values = model_table(model, joined(latent, "/values", ""));
    struct array starts = model_table(model, joined(latent, "/starts", ""));

    return checked_rows(values, starts, model_table(model, joined(latent, "/offsets", "")));
}

/* The format and the channels of an end of a program; -1 stands for any channels (HYP-1, FAM-1). */
static void require_end(const struct declaration *end, int bits, int is_signed, int64_t channels)
{
    require(end->format.bits == bits && end->format.is_signed == is_signed &&
                (channels < 0 || end->channels == channels),
            "RC-MODEL-SCHEMA", "an input or output of a program has another format or other channels (HYP-1)");
}

/* HYP-1, PIC-1: the only output is `factor` times as high and wide as the only input, for 1 .. most samples. */
static void check_enlargement(const struct program *program, int64_t factor, int64_t most)
{
    struct size *sizes = allocate(program->tensors, sizeof *sizes);
    size_t output = only_output(program);
    int64_t side;

    for (side = 1; side <= most; side++) {
        sizes[0].height = side;
        sizes[0].width = side;
        propagate_sizes(program, sizes);
        require(sizes[output].height == factor * side && sizes[output].width == factor * side, "RC-MODEL-SCHEMA",
                "a program enlarges by another factor (HYP-1)");
    }
}

/* PIC-1: an enlargement that is the same at every size that a picture can need. */
static void check_any_enlargement(const struct program *program)
{
    struct size *sizes = allocate(program->tensors, sizeof *sizes);
    int64_t factor;

    sizes[0].height = 1;
    sizes[0].width = 1;
    propagate_sizes(program, sizes);
    factor = sizes[only_output(program)].height;
    require(factor >= 1, "RC-MODEL-SCHEMA", "a program enlarges by no whole factor (PIC-1)");
    check_enlargement(program, factor, (LONGEST_SIDE + factor - 1) / factor);
}

/* The only input of a program is symbols. */
static void require_symbols(const struct program *program)
{
    require(program->inputs == 1, "RC-MODEL-SCHEMA", "a program has more inputs than one (HYP-1)");
    require_end(&program->tensor[0], 16, 1, -1);
}

/* HYP-1 */
static void check_programs(const struct hyperprior *codec)
{
    int64_t longest = (LONGEST_SIDE + G_S_FACTOR * H_S_FACTOR - 1) / (G_S_FACTOR * H_S_FACTOR);

    require_symbols(&codec->h_s);
    require_symbols(&codec->g_s);
    require_end(&codec->h_s.tensor[only_output(&codec->h_s)], 6, 0, codec->g_s.tensor[0].channels);
    require_end(&codec->g_s.tensor[only_output(&codec->g_s)], 8, 0, 3);
    check_enlargement(&codec->h_s, H_S_FACTOR, longest);
    check_enlargement(&codec->g_s, G_S_FACTOR, longest * H_S_FACTOR);
    require(codec->z_rows.count == codec->h_s.tensor[0].channels && codec->y_rows.count == 64, "RC-MODEL-TABLE",
            "there is not a row for each channel of z and each scale of y (HYP-1)");
}

/* FAM-1: other families are known but not to this decoder. */
static void require_family(const char *family)
{
    static const char *const others[] = {"factorised", "mean-scale-hyperprior", "entropy-parameters", "autoregressive",
                                         "checkerboard"};
    size_t k;

    for (k = 0; k < sizeof others / sizeof *others; k++) {
        if (strcmp(family, others[k]) == 0) {
            unsupported("a family that this decoder does not decode");
        }
    }
    require(strcmp(family, "scale-hyperprior") == 0, "RC-MODEL-FAMILY", "an unknown family (FAM-1)");
}

static struct hyperprior hyperprior_of(struct model *model)
{
    struct hyperprior codec;

    require_family(model->family);
    codec.identity = model->identity;
    codec.g_s = model_program(model, "g_s");
    codec.h_s = model_program(model, "h_s");
    require(json_get(model->description, "programs")->count == 2, "RC-MODEL-SCHEMA", "a surplus program (HYP-1)");
    require_no_surplus_constant(model);
    require_identity(model);
    codec.z_rows = model_rows(model, "z");
    codec.y_rows = model_rows(model, "y");
    require_no_surplus_table(model);
    check_programs(&codec);
    return codec;
}

/* FACT-1: a single program and the tables of its channels; its enlargement is that of one sample (PIC-1). */
static void check_factorised(struct model *model)
{
    struct program g_s = model_program(model, "g_s");
    struct rows rows;

    require(json_get(model->description, "programs")->count == 1, "RC-MODEL-SCHEMA", "a surplus program (FACT-1)");
    require_no_surplus_constant(model);
    require_identity(model);
    rows = model_rows(model, "y");
    require_no_surplus_table(model);
    require_symbols(&g_s);
    require_end(&g_s.tensor[only_output(&g_s)], 8, 0, 3);
    check_any_enlargement(&g_s);
    require(rows.count == g_s.tensor[0].channels, "RC-MODEL-TABLE",
            "there is not a row for each channel of y (FACT-1)");
}

/* A lower-case hexadecimal digit, as the identity has that require_identity has compared. */
static int64_t hex_digit(char digit)
{
    return strchr(hex_digits, digit) - hex_digits;
}

struct array model_identity(struct bytes model_file)
{
    struct array identity = new_vector(32);
    struct model model = read_model(model_file);
    size_t k;

    if (strcmp(model.family, "factorised") == 0) {
        check_factorised(&model);
    } else {
        hyperprior_of(&model);
    }
    for (k = 0; k < identity.count; k++) {
        identity.values[k] = 16 * hex_digit(model.identity[2 * k]) + hex_digit(model.identity[2 * k + 1]);
    }
    return identity;
}

/* The symbols of a payload in the order channel, row, column; `indexes` has their shape or is NULL (HYP-4). */
static void decode_volume(struct bytes payload, const struct rows *rows, const struct array *indexes,
                          struct array *symbols)
{
    struct decoder decoder = begin_decoding(payload);
    size_t plane = (size_t)(symbols->shape[1] * symbols->shape[2]);
    size_t k;

    for (k = 0; k < symbols->count; k++) {
        int64_t index = indexes == NULL ? (int64_t)(k / plane) : indexes->values[k];

        symbols->values[k] = decode_symbol(&decoder, rows, index);
    }
    end_decoding(&decoder);
}

/* PIC-2, PIC-3 */
static struct array picture_of(const struct array *samples, const struct stream *stream)
{
    int64_t shape[3];
    struct array picture;
    int64_t k;
    int64_t c;

    shape[0] = stream->height;
    shape[1] = stream->width;
    shape[2] = 3;
    picture = new_array(stream->channels == 3 ? 3 : 2, shape);
    for (k = 0; k < stream->height * stream->width; k++) {
        int64_t rgb[3];

        for (c = 0; c < 3; c++) {
            rgb[c] = *at(samples, c, k / stream->width, k % stream->width);
        }
        if (stream->channels == 1) {
            picture.values[k] = (rgb[0] + 2 * rgb[1] + rgb[2] + 2) >> 2;
        } else {
            memcpy(picture.values + 3 * k, rgb, sizeof rgb);
        }
    }
    return picture;
}

/* HYP-2, PIC-1 */
struct decoded decode_stream(struct bytes model_file, struct bytes content)
{
    struct model model = read_model(model_file);
    struct hyperprior codec = hyperprior_of(&model);
    struct stream stream = parse_stream(content, codec.identity);
    int64_t factor = G_S_FACTOR * H_S_FACTOR;
    int64_t height = (stream.height + factor - 1) / factor;
    int64_t width = (stream.width + factor - 1) / factor;
    struct decoded decoded;
    const struct array *indexes;

    decoded.h_s = codec.h_s;
    decoded.g_s = codec.g_s;
    decoded.h_s_values = allocate(codec.h_s.tensors, sizeof *decoded.h_s_values);
    decoded.g_s_values = allocate(codec.g_s.tensors, sizeof *decoded.g_s_values);
    decoded.h_s_values[0] = new_volume(codec.h_s.tensor[0].channels, height, width);
    decode_volume(stream.z, &codec.z_rows, NULL, &decoded.h_s_values[0]);
    run_program(&codec.h_s, decoded.h_s_values);
    indexes = &decoded.h_s_values[only_output(&codec.h_s)];
    decoded.g_s_values[0] = new_volume(codec.g_s.tensor[0].channels, indexes->shape[1], indexes->shape[2]);
    decode_volume(stream.y, &codec.y_rows, indexes, &decoded.g_s_values[0]);
    run_program(&codec.g_s, decoded.g_s_values);
    decoded.picture = picture_of(&decoded.g_s_values[only_output(&codec.g_s)], &stream);
    return decoded;
}
