#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "cli/mount_options.h"

static struct mount_options_given g;
static struct err err;

static void parse(const char *text)
{
	mount_options_given_free(&g);
	if (mount_options_given_parse(text, &g, &err) < 0)
		fail_msg("%s", err.msg);
}

static void refuses(const char *text, const char *message)
{
	mount_options_given_free(&g);
	assert_int_equal(mount_options_given_parse(text, &g, &err), -1);
	assert_int_equal(err.code, ERR_USAGE);
	if (!strstr(err.msg, message))
		fail_msg("'%s' is not in '%s'", message, err.msg);
}

static void nothing(void **state)
{
	parse(NULL);
	assert_null(g.rest);
	parse("");
	assert_null(g.rest);
	parse(",,");
	assert_null(g.rest);
	assert_false(g.snapshot || g.force || g.raw || g.partition);
}

static void ours(void **state)
{
	parse("ro,snapshot,partition=2,node_template=Azure Worker,scheduler=head,container=c,cache=1G");
	assert_true(g.snapshot);
	assert_null(g.snapshot_time);
	assert_int_equal(g.partition, 2);
	assert_string_equal(g.node_template, "Azure Worker");
	assert_string_equal(g.scheduler, "head");
	assert_string_equal(g.container, "c");
	assert_string_equal(g.rest, "ro,cache=1G");

	parse("force,raw,config=/a,agent_socket=/b");
	assert_true(g.force && g.raw);
	assert_string_equal(g.config, "/a");
	assert_string_equal(g.agent_socket, "/b");
	assert_null(g.rest);

	parse("snapshot=2026-11-21T03:26:09.1234567Z");
	assert_string_equal(g.snapshot_time, "2026-11-21T03:26:09.1234567Z");
}

/* What mount(8) puts there for itself never reaches the filesystem. */
static void mounts_own(void **state)
{
	parse("rw,_netdev,noauto,nofail,user,x-systemd.automount,X-mount.mkdir=755,defaults,noatime,data=ordered=x");
	assert_string_equal(g.rest, "noatime,data=ordered=x");
}

static void mistakes(void **state)
{
	refuses("partition", "partition ''");
	refuses("partition=0", "partition '0': must be a number from 1 to 128");
	refuses("partition=129", "must be a number");
	refuses("partition=x", "must be a number");
	refuses("force=1", "-o force takes no value");
	refuses("node_template=", "-o node_template needs a value");
	refuses("ro,container,x", "-o container needs a value");
	refuses("snapshot=", "-o snapshot needs a value");
}

static int done(void **state)
{
	mount_options_given_free(&g);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing),
		cmocka_unit_test(ours),
		cmocka_unit_test(mounts_own),
		cmocka_unit_test(mistakes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, done);
}
