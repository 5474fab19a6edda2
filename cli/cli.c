#include <config.h>

#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "blob/base/log.h"
#include "blob/credentials.h"
#include "blob/ops.h"

#define DEFAULT_CONTAINER "hpcpackages"

static const char *program_name = "hpcpack";

void cli_init(const char *program)
{
	program_name = program;
	cli_guard_secrets();
	log_init(program, LOG_LEVEL_WARN);
}

/* One line, whatever names from elsewhere are in it: what could steer the terminal is
 * not shown. */
int cli_fail(const struct err *err)
{
	char msg[sizeof(err->msg)];

	snprintf(msg, sizeof(msg), "%s", err->msg);
	for (char *c = msg; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	fflush(stdout);
	fprintf(stderr, "%s: %s\n", program_name, msg);
	return CLI_FAILED;
}

int cli_usage(const struct err *err)
{
	cli_fail(err);
	return CLI_USAGE;
}

int cli_fail_account(const struct err *err)
{
	return err->code == ERR_USAGE ? cli_usage(err) : cli_fail(err);
}

void cli_note(const struct options *o, const char *fmt, ...)
{
	va_list ap;

	if (o->count[OPT_QUIET])
		return;
	fflush(stdout);
	fprintf(stderr, "%s: ", program_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

int cli_flush(int status)
{
	struct err err;

	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	err_set_errno(&err, errno, "can't write what there is to say");
	return cli_fail(&err);
}

static void set_log_level(const struct options *o)
{
	enum log_level level = LOG_LEVEL_WARN;

	if (o->count[OPT_QUIET])
		level = LOG_LEVEL_ERROR;
	else if (o->count[OPT_VERBOSE])
		level = o->count[OPT_VERBOSE] > 1 ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
	log_init(program_name, level);
}

int cli_run(const struct command *command, const char *program, int argc, char **argv)
{
	struct options o;
	struct err err;
	int status = 0;

	if (options_parse(&o, command, program, argc, argv, &err) < 0)
		return cli_usage(&err);
	set_log_level(&o);
	if (o.count[OPT_HELP])
		options_help(stdout, command, program);
	else if (o.count[OPT_VERSION])
		puts(PACKAGE_STRING);
	else
		status = command->run(&o);
	options_free(&o);
	return cli_flush(status);
}

static void forget_environment(void)
{
	unsetenv("CCP_AZURE_CONNECTIONSTRING");
	unsetenv("AZURE_STORAGE_CONNECTION_STRING");
	unsetenv("AZURE_STORAGE_KEY");
	unsetenv("AZURE_STORAGE_SAS_TOKEN");
}

int cli_account(const struct options *o, struct config **config, struct blob_account *account,
		struct err *err)
{
	struct credential_options wanted = {
		.account = o->value[OPT_ACCOUNT],
		.key = o->value[OPT_KEY],
		.sas = o->value[OPT_SAS],
		.connection_string = o->value[OPT_CONNECTION_STRING],
		.endpoint = o->value[OPT_ENDPOINT],
		.ca_file = o->value[OPT_CA_FILE],
		.node_template = o->value[OPT_NODE_TEMPLATE],
		.scheduler = o->value[OPT_SCHEDULER],
		.use_http = o->count[OPT_USE_HTTP] > 0,
	};

	*config = config_load(o->value[OPT_CONFIG], err);
	if (!*config)
		return -1;
	if (credentials_resolve(account, &wanted, *config, err) < 0) {
		config_free(*config);
		*config = NULL;
		return -1;
	}
	forget_environment();
	log_info("account %s at %s, from %s", account->name, account->endpoint, account->source);
	return 0;
}

int cli_container(const struct options *o, const char **out, struct err *err)
{
	*out = o->value[OPT_CONTAINER] ? o->value[OPT_CONTAINER] : DEFAULT_CONTAINER;
	return blob_check_container_name(*out, err);
}

void cli_guard_secrets(void)
{
	const struct rlimit none = { .rlim_cur = 0, .rlim_max = 0 };

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
}
