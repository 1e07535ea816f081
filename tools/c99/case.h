/* One case of a vector suite (SPEC VEC-1, VEC-4). */
#ifndef CASE_H
#define CASE_H

#include <stddef.h>

/* Where a case is and where its results go. */
struct request {
    const char *folder; /* of the case */
    const char *suite;  /* the folder of the suite, or NULL: three levels above the case */
    const char *out;    /* an existing folder */
};

#define MOST_WRITTEN 64
#define LONGEST_NAME 80

/* The names of the files that were written to the folder of results. */
struct written {
    size_t outputs;
    size_t taps;
    char output[MOST_WRITTEN][LONGEST_NAME];
    char tap[MOST_WRITTEN][LONGEST_NAME];
};

/* Runs a case and writes its results; ends as the functions of verdict.h say. */
void run_case(const struct request *request, struct written *written);

#endif
