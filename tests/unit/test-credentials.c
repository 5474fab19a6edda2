#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob/credentials.h"
#include "tests/unit/scratch.h"

#define KEY "c2VjcmV0IGtleSBvZiBhIHRlc3Q="
#define KEY2 "YW5vdGhlciBzZWNyZXQga2V5IQ=="
#define SAS "sv=2021-12-02&sp=rl&sig=abc"

static struct config *config;

static void use_config(const char *text, unsigned mode)
{
	struct err err;

	config_free(config);
	config = config_load(scratch_write("hpcpack.conf", mode, text), &err);
	if (!config)
		fail_msg("%s", err.msg);
}

static int clear(void **state)
{
	static const char *const names[] = {
		"CCP_AZURE_CONNECTIONSTRING", "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT",
		"AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		unsetenv(names[i]);
	use_config("", 0600);
	return 0;
}

#define OPTIONS(...) (&(struct credential_options){ __VA_ARGS__ })

/* Who it resolves to: "name source". */
static const char *who(const struct credential_options *o)
{
	static char text[512];
	struct blob_account a;
	struct err err;

	if (credentials_resolve(&a, o, config, &err) < 0)
		fail_msg("%s", err.msg);
	snprintf(text, sizeof(text), "%s %s %s", a.name, a.source,
		 a.kind == ACCOUNT_SHARED_KEY ? "key" : a.kind == ACCOUNT_SAS ? "sas" : "anonymous");
	account_free(&a);
	return text;
}

static void fails(const struct credential_options *o, enum err_code code, const char *message)
{
	struct blob_account a;
	struct err err;

	assert_int_equal(credentials_resolve(&a, o, config, &err), -1);
	assert_int_equal(err.code, code);
	if (!strstr(err.msg, message))
		fail_msg("'%s' is not in '%s'", message, err.msg);
}

static void order(void **state)
{
	char expected[512];

	fails(OPTIONS(.account = NULL), ERR_USAGE, "no storage account: give --account");

	use_config("[account]\nname = fromconf\nkey = " KEY "\n", 0600);
	snprintf(expected, sizeof(expected), "fromconf %s key", config_path(config));
	assert_string_equal(who(OPTIONS(.account = NULL)), expected);

	setenv("AZURE_STORAGE_ACCOUNT", "fromenv", 1);
	assert_string_equal(who(OPTIONS(.account = NULL)), expected);   /* a name alone is nothing */
	setenv("AZURE_STORAGE_SAS_TOKEN", SAS, 1);
	assert_string_equal(who(OPTIONS(.account = NULL)), "fromenv AZURE_STORAGE_ACCOUNT sas");
	setenv("AZURE_STORAGE_KEY", KEY, 1);
	assert_string_equal(who(OPTIONS(.account = NULL)), "fromenv AZURE_STORAGE_ACCOUNT key");

	setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=fromstring;AccountKey=" KEY, 1);
	assert_string_equal(who(OPTIONS(.account = NULL)),
			    "fromstring AZURE_STORAGE_CONNECTION_STRING key");

	setenv("CCP_AZURE_CONNECTIONSTRING", "AccountName=fromccp;AccountKey=" KEY, 1);
	assert_string_equal(who(OPTIONS(.account = NULL)), "fromccp CCP_AZURE_CONNECTIONSTRING key");

	/* Named explicitly, a template beats the environment; other options beat it. */
	scratch_write("templates/T.conf", 0600, "[account]\nname = fromtemplate\nkey = " KEY "\n");
	assert_string_equal(who(OPTIONS(.node_template = "T", .scheduler = scratch_path("templates"))),
			    "fromtemplate node template T key");
	assert_string_equal(who(OPTIONS(.account = "fromopt", .key = KEY, .node_template = "T")),
			    "fromopt --key key");
	assert_string_equal(who(OPTIONS(.account = "fromopt", .sas = SAS)), "fromopt --sas sas");
	assert_string_equal(who(OPTIONS(.connection_string = "AccountName=fromcs;AccountKey=" KEY)),
			    "fromcs --connection-string key");
	assert_string_equal(who(OPTIONS(.endpoint = "http://127.0.0.1:1/fromend", .key = KEY)),
			    "fromend --key key");
	assert_string_equal(who(OPTIONS(.endpoint = "http://127.0.0.1:1/fromend")),
			    "fromend --endpoint anonymous");

	/* Empty variables count as unset. */
	setenv("CCP_AZURE_CONNECTIONSTRING", "", 1);
	assert_string_equal(who(OPTIONS(.account = NULL)),
			    "fromstring AZURE_STORAGE_CONNECTION_STRING key");
}

static void account_alone(void **state)
{
	char expected[512];

	setenv("AZURE_STORAGE_ACCOUNT", "fromenv", 1);
	setenv("AZURE_STORAGE_KEY", KEY, 1);
	use_config("[account]\nname = fromconf\nsas = " SAS "\n", 0600);
	snprintf(expected, sizeof(expected), "fromconf %s sas", config_path(config));
	assert_string_equal(who(OPTIONS(.account = "fromenv")), "fromenv AZURE_STORAGE_ACCOUNT key");
	assert_string_equal(who(OPTIONS(.account = "fromconf")), expected);
	assert_string_equal(who(OPTIONS(.account = "other")), "other --account anonymous");
}

static void option_conflicts(void **state)
{
	fails(OPTIONS(.connection_string = "UseDevelopmentStorage=true", .key = KEY), ERR_USAGE,
	      "--connection-string says it all");
	fails(OPTIONS(.account = "abc", .key = KEY, .sas = SAS), ERR_USAGE, "--key and --sas");
	fails(OPTIONS(.key = KEY), ERR_USAGE, "--key needs --account");
	fails(OPTIONS(.sas = SAS), ERR_USAGE, "--sas needs --account");
	fails(OPTIONS(.scheduler = "head"), ERR_USAGE, "--scheduler needs --node-template");
	fails(OPTIONS(.endpoint = "http://storage.example.org/abc", .key = KEY), ERR_USAGE, "say --use-http");
	assert_string_equal(who(OPTIONS(.endpoint = "http://storage.example.org/abc", .key = KEY, .use_http = true)),
			    "abc --key key");
	assert_string_equal(who(OPTIONS(.connection_string = "BlobEndpoint=http://storage.example.org/abc;AccountKey=" KEY)),
			    "abc --connection-string key");
	fails(OPTIONS(.account = "abc", .key = "non-sense"), ERR_USAGE, "--key: the account key is not base64");
}

static void templates(void **state)
{
	char text[600];

	scratch_write("dir/One.conf", 0600, "[account]\nname = tone\nkey = " KEY "\n");
	scratch_write("dir/Azure Worker.conf", 0600, "[account]\nconnection_string = UseDevelopmentStorage=true\n");
	scratch_write("dir/empty.conf", 0600, "");
	scratch_write("hosts/head1/t/One.conf", 0600, "[account]\nname = headone\nsas = " SAS "\n");
	snprintf(text, sizeof(text), "[templates]\ndir = %s\nscheduler_dir = %s/hosts/%%s/t\n",
		 scratch_path("dir"), scratch_dir());
	use_config(text, 0644);

	assert_string_equal(who(OPTIONS(.node_template = "One")), "tone node template One key");
	assert_string_equal(who(OPTIONS(.node_template = "Azure Worker")),
			    "devstoreaccount1 node template Azure Worker key");
	/* --scheduler: a host name by the pattern, a path as it is. */
	assert_string_equal(who(OPTIONS(.node_template = "One", .scheduler = "head1")),
			    "headone node template One sas");
	assert_string_equal(who(OPTIONS(.node_template = "One", .scheduler = scratch_path("dir"))),
			    "tone node template One key");

	fails(OPTIONS(.node_template = "Two"), ERR_NOT_FOUND, "there are: Azure Worker, One, empty");
	fails(OPTIONS(.node_template = "empty"), ERR_FORMAT, "says nothing in [account]");
	fails(OPTIONS(.node_template = "One", .scheduler = "nohost"), ERR_NOT_FOUND, "hosts/nohost/t/One.conf");
	fails(OPTIONS(.node_template = "../hpcpack"), ERR_USAGE, "no name of a node template");
	fails(OPTIONS(.node_template = ".."), ERR_USAGE, "no name of a node template");
	fails(OPTIONS(.node_template = ""), ERR_USAGE, "no name of a node template");
	fails(OPTIONS(.node_template = "One", .scheduler = ".."), ERR_USAGE, "neither a host nor a folder");
}

static void readable_by_others(void **state)
{
	char text[600];

	use_config("[account]\nname = abc\nkey = " KEY "\n", 0644);
	fails(OPTIONS(.account = NULL), ERR_PERMISSION, "chmod 600 ");
	use_config("[account]\nname = abc\nsas = " SAS "\n", 0640);
	fails(OPTIONS(.account = NULL), ERR_PERMISSION, "can be read by others");
	use_config("[account]\nconnection_string = AccountName=abc;AccountKey=" KEY "\n", 0604);
	fails(OPTIONS(.account = NULL), ERR_PERMISSION, "can be read by others");
	/* Nothing secret in it: anyone may read it. */
	use_config("[account]\nname = abc\n", 0644);
	assert_non_null(strstr(who(OPTIONS(.account = NULL)), "anonymous"));
	/* A file whose key nobody asks for does not stand in the way. */
	use_config("[account]\nname = abc\nkey = " KEY "\n", 0644);
	assert_string_equal(who(OPTIONS(.account = "xyz", .key = KEY)), "xyz --key key");

	scratch_write("open/T.conf", 0644, "[account]\nname = abc\nkey = " KEY "\n");
	snprintf(text, sizeof(text), "[templates]\ndir = %s\n", scratch_path("open"));
	use_config(text, 0644);
	fails(OPTIONS(.node_template = "T"), ERR_PERMISSION, "open/T.conf");
}

static void faults_of_sources(void **state)
{
	setenv("CCP_AZURE_CONNECTIONSTRING", "AccountName=abc;AccountKey=*", 1);
	/* Not the command line's fault. */
	fails(OPTIONS(.account = NULL), ERR_AUTH, "CCP_AZURE_CONNECTIONSTRING: the account key is not base64");
	setenv("CCP_AZURE_CONNECTIONSTRING", "DefaultEndpointsProtocol=http;AccountName=abc;AccountKey=" KEY, 1);
	fails(OPTIONS(.account = NULL), ERR_USAGE, "would travel unencrypted");
	assert_string_equal(who(OPTIONS(.use_http = true)), "abc CCP_AZURE_CONNECTIONSTRING key");
	unsetenv("CCP_AZURE_CONNECTIONSTRING");

	use_config("[account]\nkey = " KEY "\n", 0600);
	fails(OPTIONS(.account = NULL), ERR_FORMAT, "[account] needs name or endpoint");
	use_config("[account]\nname = abc\nconnection_string = UseDevelopmentStorage=true\n", 0600);
	fails(OPTIONS(.account = NULL), ERR_FORMAT, "other ways at once");
}

static void ca_files(void **state)
{
	char text[PATH_MAX], own[600];
	struct blob_account a;

	scratch_write("ca.pem", 0644, "");
	scratch_write("own.pem", 0644, "");
	scratch_write("option.pem", 0644, "");
	snprintf(own, sizeof(own), "[account]\nname = abc\nkey = " KEY "\nca_file = %s\n", scratch_path("own.pem"));
	scratch_write("ca/T.conf", 0600, own);
	scratch_write("ca/U.conf", 0600, "[account]\nname = abc\nkey = " KEY "\n");
	snprintf(text, sizeof(text), "[account]\nca_file = %s\n[templates]\ndir = %s\n",
		 scratch_path("ca.pem"), scratch_path("ca"));
	use_config(text, 0644);

#define CA(file, ...) do { \
		assert_int_equal(credentials_resolve(&a, OPTIONS(__VA_ARGS__), config, NULL), 0); \
		assert_string_equal(a.ca_file, realpath(scratch_path(file), text)); \
		account_free(&a); \
	} while (0)
	CA("ca.pem", .account = "abc", .key = KEY);
	CA("own.pem", .node_template = "T");
	CA("ca.pem", .node_template = "U");
	CA("option.pem", .node_template = "T", .ca_file = scratch_path("option.pem"));
	CA("option.pem", .account = "abc", .ca_file = scratch_path("option.pem"));
	fails(OPTIONS(.account = "abc", .ca_file = "/no/such"), ERR_NOT_FOUND, "CA file /no/such");
}

static void rereads(void **state)
{
	struct blob_account a, b;
	struct err err;

	use_config("[account]\nname = abc\nkey = " KEY "\n", 0600);
	assert_int_equal(credentials_resolve(&a, OPTIONS(.use_http = true), config, &err), 0);
	assert_string_equal(a.reread, config_path(config));

	scratch_write("hpcpack.conf", 0600, "[account]\nname = abc\nkey = " KEY2 "\n");
	assert_int_equal(credentials_reread(&b, &a, &err), 0);
	assert_string_equal(b.key, KEY2);
	assert_string_equal(b.endpoint, "http://abc.blob.core.windows.net");   /* stays as it was */
	account_free(&b);

	scratch_write("hpcpack.conf", 0600, "[account]\nname = abc\nsas = " SAS "\n");
	assert_int_equal(credentials_reread(&b, &a, &err), 0);
	assert_int_equal(b.kind, ACCOUNT_SAS);
	assert_null(b.key);
	account_free(&b);

	scratch_write("hpcpack.conf", 0600, "[account]\nname = xyz\nkey = " KEY2 "\n");
	assert_int_equal(credentials_reread(&b, &a, &err), -1);
	assert_int_equal(err.code, ERR_AUTH);
	scratch_write("hpcpack.conf", 0644, "[account]\nname = abc\nkey = " KEY2 "\n");
	assert_int_equal(credentials_reread(&b, &a, &err), -1);
	assert_int_equal(err.code, ERR_PERMISSION);
	account_free(&a);

	assert_int_equal(credentials_resolve(&a, OPTIONS(.account = "abc", .key = KEY), config, &err), 0);
	assert_null(a.reread);
	assert_int_equal(credentials_reread(&b, &a, &err), -1);
	account_free(&a);
}

static int done(void **state)
{
	config_free(config);
	return scratch_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(order, clear),
		cmocka_unit_test_setup(account_alone, clear),
		cmocka_unit_test_setup(option_conflicts, clear),
		cmocka_unit_test_setup(templates, clear),
		cmocka_unit_test_setup(readable_by_others, clear),
		cmocka_unit_test_setup(faults_of_sources, clear),
		cmocka_unit_test_setup(ca_files, clear),
		cmocka_unit_test_setup(rereads, clear),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, scratch_setup, done);
}
