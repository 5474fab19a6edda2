/*
 * cli.h - what the commands share: errors to the user, the account they work
 * with, care for secrets.
 *
 * A command's run() prints at most one line about a failure, through cli_fail()
 * or cli_usage(), and returns the exit status.
 */
#ifndef HPCPACK_CLI_CLI_H
#define HPCPACK_CLI_CLI_H

#include "blob/account.h"
#include "blob/config.h"
#include "cli/options.h"

#define CLI_FAILED 1
#define CLI_USAGE 2

/* What stands in front of messages. Kept, not copied. */
void cli_init(const char *program);

/* "hpcpack: <message>" on stderr; CLI_FAILED, or CLI_USAGE. */
int cli_fail(const struct err *err);
int cli_usage(const struct err *err);

/* An error of cli_account(): ERR_USAGE is the command line's fault. */
int cli_fail_account(const struct err *err);

/* "hpcpack: <text>" on stderr, unless -q. */
void cli_note(const struct options *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Parse, then run the command, or show its help or the version. argv[0] is the
 * command's name. The exit status. */
int cli_run(const struct command *command, const char *program, int argc, char **argv);

/* All that was printed has arrived, or `status` becomes CLI_FAILED. */
int cli_flush(int status);

/*
 * Read the configuration and find the account that the options mean. Programs
 * that are started from here on do not inherit the variables that held a key.
 * 0, or -1 and nothing to free.
 */
int cli_account(const struct options *o, struct config **config, struct blob_account *account,
		struct err *err);

/* --container, or the default. Checked. */
int cli_container(const struct options *o, const char **out, struct err *err);

/* No core dump, no ptrace by others of the same user: this process will hold keys. */
void cli_guard_secrets(void);

extern const struct command command_create, command_upload, command_list, command_view,
	command_download, command_remove, command_mount, command_unmount, command_status;

#endif
