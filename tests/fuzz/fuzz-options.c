/* The input is a command line, an argument on each line. */
#include <config.h>

#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "cli/options.h"

#define ARGS_MAX 64

static enum option_id everything[OPT_COUNT + 1];
static const enum option_id few[] = { OPT_CONTAINER, OPT_SNAPSHOT, OPT_KEY, OPTIONS_COMMON, OPT_COUNT };

static const struct command commands[] = {
	{ .name = "all", .synopsis = "[ARGUMENT...]", .summary = "x", .options = everything, .max_args = -1 },
	{ .name = "few", .synopsis = "ONE [TWO]", .summary = "x", .options = few, .min_args = 1, .max_args = 2 },
};

/* Each argument has memory of its own, exactly as long as it is. */
static int split(const uint8_t *data, size_t len, char *argv[ARGS_MAX + 1])
{
	int argc = 0;

	argv[argc++] = strdup("x");
	while (len && argc < ARGS_MAX) {
		const uint8_t *end = memchr(data, '\n', len);
		size_t n = end ? (size_t)(end - data) : len;

		argv[argc++] = strndup((const char *)data, n);
		data += n;
		len -= n;
		if (end) {
			data++;
			len--;
		}
	}
	argv[argc] = NULL;
	return argc;
}

static bool is_one_of(char *const *list, int count, const char *arg)
{
	for (int i = 0; i < count; i++)
		if (list[i] == arg)
			return true;
	return false;
}

static void check(const struct options *o, const struct command *c, char *const *argv, int argc)
{
	must(o->arg_count >= 0 && o->arg_count < argc);
	for (int i = 0; i < o->arg_count; i++)
		must(is_one_of(argv + 1, argc - 1, o->args[i]));
	if (o->count[OPT_HELP] || o->count[OPT_VERSION])
		return;
	must(o->arg_count >= c->min_args && (c->max_args < 0 || o->arg_count <= c->max_args));
	for (int id = 0; id < OPT_COUNT; id++)
		must(!o->value[id] || o->count[id]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *argv[ARGS_MAX + 1];
	struct options o;
	struct err err;
	int argc;

	for (int i = 0; i <= OPT_COUNT; i++)
		everything[i] = (enum option_id)i;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		argc = split(data, len, argv);
		if (options_parse(&o, &commands[i], "hpcpack x", argc, argv, &err) == 0) {
			check(&o, &commands[i], argv, argc);
			options_free(&o);
		} else {
			must(err.code == ERR_USAGE && strlen(err.msg) > 5);
		}
		while (argc)
			free(argv[--argc]);
	}
	return 0;
}
