#include <config.h>

#include "cli/options.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "blob/account.h"
#include "blob/base/buf.h"

#define VALUE_MAX_BYTES 65536

struct parser {
	struct options *o;
	const char *program;
	int argc, next;     /* next: index of the argument after this one */
	char **argv;
	struct err *err;
};

/* "...; see hpcpack upload --help" */
static int usage(struct parser *p)
{
	return err_append(p->err, "; see %s --help", p->program);
}

void options_free(struct options *o)
{
	for (int i = 0; i < OPT_COUNT; i++)
		secret_free(o->value[i]);
	free(o->args);
	memset(o, 0, sizeof(*o));
}

/* Called with the value as it stands in argv. */
static int take_value(struct parser *p, enum option_id id, char *value)
{
	struct buf joined = BUF_INIT(VALUE_MAX_BYTES);
	char **place = &p->o->value[id];

	if (option_table[id].joins && *place) {
		buf_addstr(&joined, *place);
		buf_addstr(&joined, ",");
	}
	buf_addstr(&joined, value);
	secret_free(*place);
	*place = buf_steal(&joined);
	if (option_table[id].secret)
		memset(value, 'x', strlen(value));   /* ps(1) shows argv to everybody */
	if (!*place)
		return err_set(p->err, ERR_USAGE, "the value of an option is too long");
	return 0;
}

/* An option as it was written, for messages: without its value. */
static int take(struct parser *p, enum option_id id, const char *written, int len, char *value)
{
	p->o->count[id]++;
	if (!value)
		return 0;
	if (option_table[id].kind == OPTION_FLAG) {
		err_set(p->err, ERR_USAGE, "%.*s takes no value", len, written);
		return usage(p);
	}
	return take_value(p, id, value);
}

/* Its value is the next argument, whatever that looks like. */
static int take_next(struct parser *p, enum option_id id, const char *written, int len)
{
	if (p->next >= p->argc) {
		err_set(p->err, ERR_USAGE, "%.*s needs a value (%s)", len, written,
			option_table[id].value);
		return usage(p);
	}
	return take(p, id, written, len, p->argv[p->next++]);
}

/* --- which one is meant --- */

/* The number of letters to insert, delete or change that lie between a and b. */
static unsigned distance(const char *a, size_t a_len, const char *b)
{
	size_t b_len = strlen(b);
	unsigned row[32];

	if (b_len >= 32)
		return 99;
	for (unsigned j = 0; j <= b_len; j++)
		row[j] = j;
	for (unsigned i = 1; i <= a_len; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= b_len; j++) {
			unsigned best = diagonal + (strncasecmp(a + i - 1, b + j - 1, 1) != 0);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[b_len];
}

/* The option whose name is most like this one; NULL if none is like it at all. */
static const char *nearest(const struct command *command, const char *name, size_t len)
{
	const char *found = NULL;
	unsigned least = 99;

	for (const enum option_id *id = command->options; *id != OPT_COUNT; id++) {
		const char *candidate = option_table[*id].name;
		unsigned d;

		if (!candidate)
			continue;
		/* Cut short counts as one fault, whatever is missing. */
		d = len >= 3 && !strncasecmp(candidate, name, len) ? 1 : distance(name, len, candidate);
		if (d < least && d < strlen(candidate) && (d <= 2 || d <= strlen(candidate) / 3)) {
			least = d;
			found = candidate;
		}
	}
	return found;
}

static int unknown(struct parser *p, const char *dashes, const char *name, size_t len)
{
	const char *like = len > 1 ? nearest(p->o->command, name, len) : NULL;

	err_set(p->err, ERR_USAGE, "unknown option %s%.*s", dashes, (int)len, name);
	if (like)
		err_append(p->err, " (did you mean --%s?)", like);
	return usage(p);
}

static int parse_long(struct parser *p, char *arg)
{
	char *name = arg + 2, *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);

	for (const enum option_id *id = p->o->command->options; *id != OPT_COUNT; id++) {
		const struct option_def *def = &option_table[*id];

		if (!def->name || strlen(def->name) != len || strncmp(def->name, name, len))
			continue;
		if (def->kind == OPTION_VALUE && !equals)
			return take_next(p, *id, arg, (int)len + 2);
		return take(p, *id, arg, (int)len + 2, equals ? equals + 1 : NULL);
	}
	return unknown(p, "--", name, len);
}

static int parse_letters(struct parser *p, char *arg)
{
	for (char *c = arg + 1; *c; c++) {
		const enum option_id *id = p->o->command->options;
		const char written[] = { '-', *c, '\0' };

		while (*id != OPT_COUNT && option_table[*id].letter != *c)
			id++;
		if (*id == OPT_COUNT)
			return unknown(p, "-", c, 1);
		if (option_table[*id].kind == OPTION_VALUE)
			return c[1] ? take(p, *id, written, 2, c + 1) : take_next(p, *id, written, 2);
		if (take(p, *id, written, 2, NULL) < 0)
			return -1;
	}
	return 0;
}

/* Is `name` one of the words in `names`? */
static bool is_named(const char *names, const char *name, size_t len)
{
	while (names && *names) {
		size_t n = strcspn(names, " ");

		if (n == len && !strncasecmp(names, name, len))
			return true;
		names += n + strspn(names + n, " ");
	}
	return false;
}

/* The original's spelling: 1 if it was that, 0 if it is a path, -1. */
static int parse_original(struct parser *p, char *arg)
{
	char *name = arg + 1, *colon = strchr(name, ':');
	size_t len = colon ? (size_t)(colon - name) : strlen(name);

	for (const enum option_id *id = p->o->command->options; *id != OPT_COUNT; id++) {
		const struct option_def *def = &option_table[*id];

		if (!is_named(def->original, name, len) ||
		    (colon != NULL) != (def->kind == OPTION_VALUE))
			continue;
		return take(p, *id, arg, (int)len + 1, colon ? colon + 1 : NULL) < 0 ? -1 : 1;
	}
	return 0;
}

static int parse_one(struct parser *p, char *arg, bool *only_args)
{
	int rc;

	if (*only_args || (arg[0] == '-' && arg[1] == '\0') || (arg[0] != '-' && arg[0] != '/')) {
		p->o->args[p->o->arg_count++] = arg;
		return 0;
	}
	if (!strcmp(arg, "--")) {
		*only_args = true;
		return 0;
	}
	if (arg[0] == '-')
		return arg[1] == '-' ? parse_long(p, arg) : parse_letters(p, arg);
	rc = parse_original(p, arg);
	if (rc == 0)
		p->o->args[p->o->arg_count++] = arg;
	return rc < 0 ? -1 : 0;
}

/* One argument too many. If it looks like a misspelt option of the original's,
 * what stands behind its colon may be a key: it is not shown. */
static int surplus(struct parser *p, const char *arg)
{
	size_t len = strcspn(arg, ":");
	const char *like = NULL;

	if (arg[0] == '/' && !memchr(arg + 1, '/', len - 1))
		like = nearest(p->o->command, arg + 1, len - 1);
	if (like)
		err_set(p->err, ERR_USAGE, "'%.*s' is one argument too many (did you mean --%s?)", (int)len,
			arg, like);
	else
		err_set(p->err, ERR_USAGE, "'%s' is one argument too many", arg);
	return usage(p);
}

static int check_args(struct parser *p)
{
	const struct command *c = p->o->command;

	if (p->o->arg_count < c->min_args) {
		err_set(p->err, ERR_USAGE, "an argument is missing: %s %.*s", p->program,
			(int)strcspn(c->synopsis, "\n"), c->synopsis);
		return usage(p);
	}
	if (c->max_args >= 0 && p->o->arg_count > c->max_args)
		return surplus(p, p->o->args[c->max_args]);
	return 0;
}

int options_parse(struct options *o, const struct command *command, const char *program,
		  int argc, char **argv, struct err *err)
{
	struct parser p = { .o = o, .program = program, .argc = argc, .next = 1, .argv = argv,
			    .err = err };
	bool only_args = false;

	memset(o, 0, sizeof(*o));
	o->command = command;
	o->args = calloc((size_t)argc + 1, sizeof(*o->args));
	if (!o->args)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	while (p.next < argc) {
		if (parse_one(&p, argv[p.next++], &only_args) < 0)
			goto fail;
		if (o->count[OPT_HELP] || o->count[OPT_VERSION])
			return 0;
	}
	if (check_args(&p) < 0)
		goto fail;
	return 0;
fail:
	options_free(o);
	return -1;
}
