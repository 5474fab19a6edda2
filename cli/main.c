/* main.c - hpcpack: which command is meant. */
#include <config.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli/cli.h"

static const struct command *const commands[] = {
	&command_create,
	&command_upload,
	&command_list,
	&command_view,
	&command_download,
	&command_remove,
	&command_mount,
	&command_unmount,
	&command_status,
	NULL,
};

static void show_help(void)
{
	fputs("usage: hpcpack COMMAND ...\n"
	      "\n"
	      "Drives and packages in Azure Blob Storage, for the nodes of a cluster.\n"
	      "\n", stdout);
	for (const struct command *const *c = commands; *c; c++)
		printf("  %-10s %s\n", (*c)->name, (*c)->summary);
	fputs("\n"
	      "hpcpack COMMAND --help tells more; hpcpack --version the version.\n", stdout);
}

/* For the test that compares it with hpcpack.conf(5). */
static void dump_config(void)
{
	const char *section, *key;

	for (size_t i = 0; config_known(i, &section, &key); i++)
		printf("%s\t%s\n", section, key);
}

static bool is_any(const char *arg, const char *const *words)
{
	for (; *words; words++)
		if (!strcasecmp(arg, *words))
			return true;
	return false;
}

static const struct command *find(const char *name)
{
	for (const struct command *const *c = commands; *c; c++)
		if (!strcasecmp((*c)->name, name))
			return *c;
	return NULL;
}

/* What is wrong with the command, and which there are. */
static int no_command(const char *what, const char *name)
{
	struct err err;

	err_set(&err, ERR_USAGE, "%s%s%s: there are", what, name, *name ? "'" : "");
	for (const struct command *const *c = commands; *c; c++)
		err_append(&err, "%s %s", c == commands ? "" : ",", (*c)->name);
	err_append(&err, "; see hpcpack --help");
	return cli_usage(&err);
}

static int run(const struct command *command, int argc, char **argv)
{
	char program[64];

	snprintf(program, sizeof(program), "hpcpack %s", command->name);
	return cli_run(command, program, argc, argv);
}

int main(int argc, char **argv)
{
	static const char *const help[] = { "--help", "help", "-h", "/?", "/help", NULL };
	const struct command *command;

	cli_init("hpcpack");
	/* A reader of our output that has gone, and sockets, are errors like others. */
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2)
		return no_command("no command was given", "");
	command = find(argv[1]);
	if (command)
		return run(command, argc - 1, argv + 1);
	if (is_any(argv[1], help)) {
		char *ask[] = { argv[1], (char []){ "--help" }, NULL };

		command = argc > 2 ? find(argv[2]) : NULL;
		if (command)
			return run(command, 2, ask);
		if (argc > 2)
			return no_command("unknown command '", argv[2]);
		show_help();
		return cli_flush(0);
	}
	if (!strcmp(argv[1], "--version")) {
		puts(PACKAGE_STRING);
		return cli_flush(0);
	}
	if (!strcmp(argv[1], "--dump-options")) {
		options_dump(stdout, commands);
		return cli_flush(0);
	}
	if (!strcmp(argv[1], "--dump-config")) {
		dump_config();
		return cli_flush(0);
	}
	return no_command("unknown command '", argv[1]);
}
