#include "verdict.h"

#include <setjmp.h>
#include <stddef.h>

#include "memory.h"

static jmp_buf end_of_work; /* this program does one thing at a time */
static struct verdict reached;

struct verdict judge(void (*work)(void *), void *argument)
{
    reached.outcome = DONE;
    reached.code = NULL;
    reached.message = NULL;
    if (setjmp(end_of_work) == 0) {
        work(argument);
    }
    release_all();
    return reached;
}

static void end(enum outcome outcome, const char *code, const char *message) NEVER_RETURNS;

static void end(enum outcome outcome, const char *code, const char *message)
{
    reached.outcome = outcome;
    reached.code = code;
    reached.message = message;
    longjmp(end_of_work, 1);
}

void reject(const char *code, const char *message)
{
    end(REJECTED, code, message);
}

void unsupported(const char *message)
{
    end(UNSUPPORTED, NULL, message);
}

void broken(const char *message)
{
    end(BROKEN, NULL, message);
}

void require(int holds, const char *code, const char *message)
{
    if (!holds) {
        reject(code, message);
    }
}
