/* refcodec-c99 CASE OUT, or refcodec-c99 --stdio: cases of a vector suite, computed as SPEC.md says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "case.h"
#include "files.h"
#include "json.h"
#include "memory.h"
#include "verdict.h"

#define LONGEST_LINE ((size_t)1 << 20)

struct task {
    struct request request;
    struct written written;
};

static void do_case(void *argument)
{
    struct task *task = argument;

    run_case(&task->request, &task->written);
}

/* Writes {"error": code} to the folder of results. */
struct report {
    const char *path;
    const char *code;
};

static void do_report(void *argument)
{
    const struct report *report = argument;
    const char *text = joined("{\"error\": \"", report->code, "\"}\n");

    write_file(joined(report->path, "/status.json", ""), text, strlen(text));
}

static struct task *new_task(const char *folder, const char *suite, const char *out)
{
    struct task *task = calloc(1, sizeof *task);

    if (task == NULL) {
        fputs("refcodec-c99: out of memory\n", stderr);
        exit(BROKEN);
    }
    task->request.folder = folder;
    task->request.suite = suite;
    task->request.out = out;
    return task;
}

static int run_once(const char *folder, const char *out)
{
    struct task *task = new_task(folder, NULL, out);
    struct verdict verdict = judge(do_case, task);
    struct report report;

    free(task);
    if (verdict.outcome == REJECTED) {
        report.path = out;
        report.code = verdict.code;
        if (judge(do_report, &report).outcome != DONE) {
            verdict.outcome = BROKEN;
        }
    }
    if (verdict.message != NULL) {
        fprintf(stderr, "%s: %s\n", verdict.code == NULL ? "refcodec-c99" : verdict.code, verdict.message);
    }
    return verdict.outcome;
}

/* A request of one line. All texts live until the end of the request. */
struct line {
    char *text;
    size_t length;
    char *id; /* the value of "id" as it came, or NULL */
    char *folder;
    char *suite;
    char *out;
};

/* A copy that outlives the memory of a judgement, or NULL. */
static char *kept(const char *text)
{
    char *copy = text == NULL ? NULL : malloc(strlen(text) + 1);

    return copy == NULL ? NULL : strcpy(copy, text);
}

static char *kept_text(const struct json *request, const char *key)
{
    const struct json *value = json_get(request, key);

    return json_is(value, JSON_TEXT) ? kept(value->text) : NULL;
}

static void do_parse(void *argument)
{
    struct line *line = argument;
    struct writer writer = {NULL, 0, 0};
    const struct json *request = json_parse(line->text, line->length);

    if (json_get(request, "id") != NULL) {
        write_json(&writer, json_get(request, "id"));
        line->id = kept(writer.text);
    }
    line->folder = kept_text(request, "case");
    line->suite = kept_text(request, "suite");
    line->out = kept_text(request, "out");
}

static void write_files(struct writer *writer, const char *out, const char *prefix,
                        char names[MOST_WRITTEN][LONGEST_NAME], size_t count)
{
    size_t k;

    for (k = 0; k < count; k++) {
        write_text(writer, k == 0 ? "" : ",");
        write_quoted(writer, names[k]);
        write_text(writer, ":{\"file\":");
        write_quoted(writer, joined(joined(out, "/", prefix), names[k], ".le"));
        write_text(writer, "}");
    }
}

struct answer {
    const struct line *line;
    struct task *task;
    struct verdict verdict;
};

static void write_status(struct writer *writer, const struct answer *answer)
{
    static const char *const statuses[] = {
        [DONE] = "ok", [BROKEN] = "broken", [UNSUPPORTED] = "unsupported", [REJECTED] = "rejected"};
    struct written *written = &answer->task->written;

    write_text(writer, ",\"status\":");
    write_quoted(writer, statuses[answer->verdict.outcome]);
    if (answer->verdict.outcome == REJECTED) {
        write_text(writer, ",\"error\":");
        write_quoted(writer, answer->verdict.code);
    }
    if (answer->verdict.outcome == DONE) {
        write_text(writer, ",\"outputs\":{");
        write_files(writer, answer->line->out, "out.", written->output, written->outputs);
        write_text(writer, "},\"taps\":{");
        write_files(writer, answer->line->out, "tap.", written->tap, written->taps);
        write_text(writer, "}");
    }
}

static void do_answer(void *argument)
{
    const struct answer *answer = argument;
    struct writer writer = {NULL, 0, 0};

    write_text(&writer, "{\"id\":");
    write_text(&writer, answer->line->id == NULL ? "null" : answer->line->id);
    write_status(&writer, answer);
    write_text(&writer, "}\n");
    fputs(writer.text, stdout);
    fflush(stdout);
}

static void answer_line(struct line *line)
{
    struct answer answer;

    answer.verdict = judge(do_parse, line);
    answer.line = line;
    answer.task = new_task(line->folder, line->suite, line->out);
    if (answer.verdict.outcome == DONE && (line->folder == NULL || line->out == NULL)) {
        answer.verdict.outcome = BROKEN;
        answer.verdict.message = "a request has the texts case and out";
    }
    if (answer.verdict.outcome == DONE) {
        answer.verdict = judge(do_case, answer.task);
    }
    if (answer.verdict.outcome == BROKEN) {
        fprintf(stderr, "refcodec-c99: %s\n", answer.verdict.message);
    }
    judge(do_answer, &answer);
    free(answer.task);
}

/* The next line of the standard input; 0 at its end. */
static int read_line(struct line *line, char *room)
{
    size_t length;

    memset(line, 0, sizeof *line);
    if (fgets(room, (int)LONGEST_LINE, stdin) == NULL) {
        return 0;
    }
    length = strlen(room);
    line->text = room;
    line->length = length;
    return 1;
}

static int run_lines(void)
{
    char *room = malloc(LONGEST_LINE);
    struct line line;

    if (room == NULL) {
        fputs("refcodec-c99: out of memory\n", stderr);
        return BROKEN;
    }
    while (read_line(&line, room)) {
        answer_line(&line);
        free(line.id);
        free(line.folder);
        free(line.suite);
        free(line.out);
    }
    free(room);
    return DONE;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--stdio") == 0) {
        return run_lines();
    }
    if (argc == 3) {
        return run_once(argv[1], argv[2]);
    }
    fputs("usage: refcodec-c99 CASE OUT\n       refcodec-c99 --stdio\n", stderr);
    return BROKEN;
}
