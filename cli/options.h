/*
 * options.h - the command line, in both its spellings.
 *
 * GNU: --name VALUE, --name=VALUE, -x, bundles of those (-qv), -oVALUE; options
 * and arguments in any order; "--" ends the options. What may have a value
 * (--snapshot[=TIME]) takes it only behind '='.
 *
 * The original's: /name or /name:VALUE in any case of letters. An argument is
 * such an option only if the command has one of exactly this name and form;
 * whatever else begins with '/' is a path, and after "--" everything is.
 *
 * Every option is one row of option_table (option_table.c); a command lists the
 * rows that it takes. Help, the completion and the tests of the man pages come
 * from these tables alone.
 */
#ifndef HPCPACK_CLI_OPTIONS_H
#define HPCPACK_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#include "blob/base/err.h"

enum option_id {
	/* which storage */
	OPT_ACCOUNT,
	OPT_KEY,
	OPT_SAS,
	OPT_CONNECTION_STRING,
	OPT_NODE_TEMPLATE,
	OPT_SCHEDULER,
	OPT_ENDPOINT,
	OPT_CA_FILE,
	OPT_USE_HTTP,
	OPT_CONTAINER,
	/* upload, download, create */
	OPT_RELATIVE_PATH,
	OPT_DESCRIPTION,
	OPT_BLOCK_SIZE,
	OPT_BLOB_TYPE,
	OPT_PATH,
	OPT_UNPACK,
	OPT_NO_RECURSE,
	OPT_LEVEL_0,
	OPT_LEVEL_1,
	OPT_LEVEL_9,
	OPT_PACKAGE_NAME,
	/* mount, unmount */
	OPT_SNAPSHOT,
	OPT_FORCE,
	OPT_RAW,
	OPT_PARTITION,
	OPT_MOUNT_OPTIONS,
	OPT_LIST,
	OPT_LAZY,
	OPT_AGENT_SOCKET,
	/* all */
	OPT_JSON,
	OPT_CONFIG,
	OPT_QUIET,
	OPT_VERBOSE,
	OPT_HELP,
	OPT_VERSION,
	OPT_COUNT,
};

/* What every command that talks to storage takes; and every command at all. */
#define OPTIONS_STORAGE \
	OPT_ACCOUNT, OPT_KEY, OPT_SAS, OPT_CONNECTION_STRING, OPT_NODE_TEMPLATE, OPT_SCHEDULER, \
	OPT_CONTAINER, OPT_ENDPOINT, OPT_CA_FILE, OPT_USE_HTTP
#define OPTIONS_COMMON OPT_CONFIG, OPT_QUIET, OPT_VERBOSE, OPT_HELP, OPT_VERSION

enum option_kind {
	OPTION_FLAG,
	OPTION_VALUE,
	OPTION_OPTIONAL, /* --name or --name=VALUE; /name never has one */
};

struct option_def {
	const char *name;      /* --name; NULL: only a letter */
	char letter;           /* -x; 0: none */
	enum option_kind kind;
	bool secret;           /* overwritten in argv as soon as it is parsed */
	bool joins;            /* given again, it is added behind a comma */
	const char *value;     /* what its value is called in help */
	const char *original;  /* the original's names, a space between; NULL: none */
	const char *help;
};
extern const struct option_def option_table[OPT_COUNT];

struct options;

struct command {
	const char *name;                /* "upload"; "" for a program of its own */
	const char *synopsis;            /* the arguments; a line each way */
	const char *summary;
	const enum option_id *options;   /* ends with OPT_COUNT */
	int min_args, max_args;          /* max_args -1: any number */
	int (*run)(const struct options *o); /* the exit status */
};

/* What was said. Values are copies; those of secret options are wiped by
 * options_free(). Arguments point into argv. */
struct options {
	const struct command *command;
	char *value[OPT_COUNT];    /* NULL: not given, or given without a value */
	unsigned count[OPT_COUNT]; /* how often */
	char **args;
	int arg_count;
};

/*
 * argv[0] is the command's name, not looked at. `program` is how the help is
 * called ("hpcpack upload"), for messages. --help and --version end the parsing:
 * nothing else is checked then. 0, or -1 with ERR_USAGE (o is freed then): one
 * line with the nearest known name and where the help is.
 */
int options_parse(struct options *o, const struct command *command, const char *program,
		  int argc, char **argv, struct err *err);
void options_free(struct options *o);

/* The help of one command. */
void options_help(FILE *out, const struct command *command, const char *program);

/* For tests and the completion, a line for each option of each command:
 * command, --name or "-", -x or "-", flag|value|optional, secret|plain,
 * /original,/names or "-", separated by tabs. */
void options_dump(FILE *out, const struct command *const *commands);

#endif
