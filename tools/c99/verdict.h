/* How a case ends: done, broken, unsupported or rejected with a code (SPEC ERR-1). */
#ifndef VERDICT_H
#define VERDICT_H

#if defined(__GNUC__)
#define NEVER_RETURNS __attribute__((noreturn))
#else
#define NEVER_RETURNS
#endif

/* The values are the exit statuses of the program. */
enum outcome { DONE = 0, BROKEN = 2, UNSUPPORTED = 3, REJECTED = 4 };

struct verdict {
    enum outcome outcome;
    const char *code;    /* of a rejection, otherwise NULL */
    const char *message; /* of anything but DONE, otherwise NULL */
};

/* Runs work(argument) until it returns or one of the functions below is called, and frees what it allocated. */
struct verdict judge(void (*work)(void *), void *argument);

/* Each ends the work that `judge` runs. Codes and messages are string literals. */
void reject(const char *code, const char *message) NEVER_RETURNS;
void unsupported(const char *message) NEVER_RETURNS;
void broken(const char *message) NEVER_RETURNS;

/* Rejects with the code unless the condition holds. */
void require(int holds, const char *code, const char *message);

#endif
