#include "functions.h"

#include <string.h>

#include "arithmetic.h"
#include "verdict.h"

#define LARGEST_STEP 0x63FF   /* INR-4 */
#define MOST_FRACTION 10      /* INR-5 */
#define MOST_CHANNELS 32768   /* INR-10 */
#define PLACE_FRACTION 40     /* TAB-5 */
#define LONGEST_QUOTIENT 48

/* An argument of a function, within its domain. */
static int64_t within(int64_t argument, int64_t lo, int64_t hi)
{
    require(lo <= argument && argument <= hi, "RC-RANGE", "an argument is outside the domain of the function");
    return argument;
}

/* DIV-3 */
static void restoring_division(const int64_t *argument, int64_t *value)
{
    int64_t numerator = within(argument[0], 0, power_of_two(LONGEST_QUOTIENT) - 1);
    int64_t denominator = within(argument[1], 1, power_of_two(LONGEST_QUOTIENT) - 1);
    int64_t remainder = 0;
    int bit;

    value[0] = 0;
    for (bit = (int)within(argument[2], 0, LONGEST_QUOTIENT) - 1; bit >= 0; bit--) {
        int64_t goes;

        remainder = 2 * remainder + floor_shift(numerator, bit) % 2;
        goes = remainder >= denominator;
        value[0] = 2 * value[0] + goes;
        remainder -= goes * denominator;
    }
}

struct half {
    int64_t mantissa;
    int exponent;
};

/* INR-3, INR-4 */
static struct half binary16(int64_t pattern)
{
    int exponent = (int)(within(pattern, 1, LARGEST_STEP) >> 10);
    struct half half;

    half.mantissa = exponent == 0 ? pattern : 1024 + pattern % 1024;
    half.exponent = exponent == 0 ? -24 : exponent - 25;
    return half;
}

static void binary16_row(const int64_t *argument, int64_t *value)
{
    struct half half = binary16(argument[0]);

    value[0] = half.mantissa;
    value[1] = half.exponent;
}

/* INR-6. With a value of at most 28 bits, an exponent of at most 33 and a divisor of at most 11, DIV-2 holds. */
static int64_t scaled(int64_t value, int exponent, int64_t divisor)
{
    return exponent >= 0 ? rounding_division(value * power_of_two(exponent), divisor)
                         : rounding_division(value, divisor * power_of_two(-exponent));
}

static int64_t integer_of_tensor(int64_t argument)
{
    return within(argument, -32768, 32767);
}

static int fraction_of(int64_t argument)
{
    return (int)within(argument, 0, MOST_FRACTION);
}

/* INR-6 */
static void accumulator_bias(const int64_t *argument, int64_t *value)
{
    struct half step = binary16(argument[1]);
    struct half weight_step = binary16(argument[2]);
    int exponent = step.exponent - weight_step.exponent + fraction_of(argument[3]);

    value[0] = scaled(integer_of_tensor(argument[0]) * step.mantissa, exponent, weight_step.mantissa);
}

/* INR-7 */
static void grid_entry(const int64_t *argument, int64_t *value)
{
    struct half step = binary16(argument[1]);
    int64_t entry = scaled(integer_of_tensor(argument[0]) * step.mantissa, step.exponent + fraction_of(argument[2]), 1);

    within(argument[3], -32768, argument[4]);
    value[0] = clip(entry, argument[3], within(argument[4], -32768, 32767));
}

/* INR-8. The exponent of the divisor is at least 6 and at most 39, its mantissa has 11 bits. */
static void head_threshold(const int64_t *argument, int64_t *value)
{
    struct half step = binary16(argument[1]);
    int64_t divisor = step.mantissa * power_of_two(PLACE_FRACTION + step.exponent - fraction_of(argument[2]));

    value[0] = floor_division(within(argument[0], -power_of_two(61), power_of_two(61)) - 1, divisor);
}

/* INR-9. The largest norm has at most 61 bits. */
static void norm_constants(const int64_t *argument, int64_t *value)
{
    int64_t channels = within(argument[0], 1, MOST_CHANNELS);
    int64_t levels = power_of_two((int)within(argument[1], 1, 16)) - 1;
    int fraction = fraction_of(argument[2]);
    int64_t epsilon = rounding_division(channels * channels * power_of_two(2 * fraction), 1000000);
    int64_t largest;
    int root_shift = 0;
    int shift;

    epsilon = epsilon < 1 ? 1 : epsilon;
    largest = channels * channels / 4 * levels * levels + epsilon;
    for (shift = 2; shift < 32; shift += 2) {
        if (largest < power_of_two(62 - shift)) {
            root_shift = shift;
        }
    }
    value[0] = epsilon;
    value[1] = root_shift;
    value[2] = power_of_two(fraction + root_shift / 2);
}

/* PIC-3 */
static void grey(const int64_t *argument, int64_t *value)
{
    value[0] = (within(argument[0], 0, 255) + 2 * within(argument[1], 0, 255) + within(argument[2], 0, 255) + 2) >> 2;
}

static const struct function functions[] = {{"restoring_division", 3, 1, {48, 1}, restoring_division},
                                            {"binary16", 1, 2, {24, 1}, binary16_row},
                                            {"accumulator_bias", 4, 1, {48, 1}, accumulator_bias},
                                            {"grid_entry", 5, 1, {16, 1}, grid_entry},
                                            {"head_threshold", 3, 1, {48, 1}, head_threshold},
                                            {"norm_constants", 3, 3, {48, 1}, norm_constants},
                                            {"grey", 3, 1, {8, 0}, grey}};

const struct function *function_named(const char *name)
{
    size_t k;

    for (k = 0; k < sizeof functions / sizeof *functions; k++) {
        if (strcmp(functions[k].name, name) == 0) {
            return &functions[k];
        }
    }
    return NULL;
}

struct array values_of(const struct function *function, const struct array *arguments)
{
    int64_t shape[2];
    struct array values;
    size_t row;

    require(has_shape(arguments, 2, -1, (int64_t)function->arguments, -1, -1), "RC-SHAPE",
            "a function has rows of as many arguments as its definition");
    shape[0] = arguments->shape[0];
    shape[1] = (int64_t)function->values;
    values = new_array(2, shape);
    for (row = 0; row < (size_t)shape[0]; row++) {
        function->compute(arguments->values + row * function->arguments, values.values + row * function->values);
    }
    return values;
}
