/*
 * How much of a drive may wait in the kernel to be written, and that the next user of
 * the loop device does not inherit it (agent/volume_loop_tune.c).
 */
#include <config.h>

#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/volume_priv.h"
#include "blob/base/cleanup.h"
#include "tests/unit/sandbox.h"
#include "tests/unit/volume_rig.h"

static uint64_t attribute(const struct volume *v, const char *name)
{
	cleanup_free char *text = NULL;
	char path[96];
	size_t size = 0;
	uint64_t value;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/block/loop%d/%s", v->loop, name);
	f = fopen(path, "re");
	if (!f || getline(&text, &size, f) < 0)
		fail_msg("%s can't be read", path);
	fclose(f);
	value = strtoull(text, NULL, 10);
	return value;
}

/* Since Linux 6.2, and with memory of which so much may be dirty. */
static bool kernel_can_limit(const struct volume *v)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/block/loop%d/bdi/strict_limit", v->loop);
	return access(path, W_OK) == 0 &&
	       sandbox_try("awk '/^nr_dirty_threshold / { exit $2 < 131072 }' /proc/vmstat") == 0;
}

static bool unlimited(const struct volume *v)
{
	return attribute(v, "bdi/strict_limit") == 0 && attribute(v, "bdi/min_ratio_fine") == 0 &&
	       attribute(v, "bdi/max_ratio_fine") == 1000000;
}

static bool in_use(const struct volume *v)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/block/loop%d/loop/backing_file", v->loop);
	return access(path, F_OK) == 0;
}

/* Are writes throttled by how long reads take, or does the kernel (without CONFIG_BLK_WBT)
 * not do that? */
static bool throttled(const struct volume *v, bool wanted)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/block/loop%d/queue/wbt_lat_usec", v->loop);
	return access(path, R_OK) < 0 || (attribute(v, "queue/wbt_lat_usec") > 0) == wanted;
}

/* Is a device that was given back as others expect it? False if somebody has taken it
 * meanwhile, and nobody can tell. */
static bool left_clean(const struct volume *v, bool *clean)
{
	uint64_t sequence;

	if (in_use(v))
		return false;
	sequence = attribute(v, "diskseq");
	*clean = unlimited(v) && attribute(v, "queue/read_ahead_kb") != 16384 &&
		 attribute(v, "queue/max_sectors_kb") != 1024 && throttled(v, true);
	return !in_use(v) && attribute(v, "diskseq") == sequence;
}

/* In parts of what may be dirty, which changes with the free memory. */
static void assert_limited(const struct volume *v)
{
	assert_int_equal(attribute(v, "bdi/strict_limit"), 1);
	assert_in_range(attribute(v, "bdi/max_bytes"), 128 << 20, 384 << 20);
	assert_in_range(attribute(v, "bdi/min_bytes"), 8 << 20, 24 << 20);
}

static void need_limit(struct volume *v)
{
	if (kernel_can_limit(v))
		return;
	detach(v);
	skip();
}

static void unwritten_is_limited(void **state)
{
	struct volume_wish w = wish(sandbox_ext4("attach.img", 16));
	struct err err, unsynced;
	bool clean = false;
	struct volume v;
	int tries = 0;
	pid_t pid;

	attach(&w, &v);
	need_limit(&v);
	assert_limited(&v);
	assert_true(throttled(&v, false));
	assert_int_equal(attribute(&v, "queue/max_sectors_kb"), 1024);
	loop_tune(&v, false);
	assert_true(unlimited(&v) && throttled(&v, true));
	loop_tune(&v, true);
	assert_limited(&v);
	pid = sit_in(sandbox_path("mnt"));
	assert_int_equal(volume_detach(&v, false, &unsynced, &err), -1);
	assert_limited(&v);
	assert_true(throttled(&v, false));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	detach(&v);
	while (!left_clean(&v, &clean) && ++tries < 100) {
		attach(&w, &v);
		detach(&v);
	}
	assert_true(clean);
}

static void nothing_to_limit(void **state)
{
	struct volume_wish w = wish(sandbox_ext4("attach.img", 16));
	struct volume v;

	w.read_only = true;
	attach(&w, &v);
	need_limit(&v);
	assert_true(unlimited(&v) && throttled(&v, true));
	assert_int_equal(attribute(&v, "queue/max_sectors_kb"), 1024);
	detach(&v);
	w.read_only = false;
	w.snapshot = true;
	attach(&w, &v);
	assert_true(unlimited(&v));
	detach(&v);
}

/* The next one finds it as it was also when it never came to a mount. */
static void unlimited_after_failure(void **state)
{
	struct volume_wish w = wish(sandbox_ext4("attach.img", 16));
	bool clean = false;
	struct volume v;
	struct err err;
	int tries = 0;

	w.options = "nosuchoption=7";
	do {
		assert_int_equal(volume_attach(&w, &v, &err), -1);
		assert_true(v.loop >= 0);
		if (!kernel_can_limit(&v))
			skip();
	} while (!left_clean(&v, &clean) && ++tries < 100);
	assert_true(clean);
}

/* Writing more than may wait goes on, and what is too much has been written when the
 * writer is through: without anybody's fsync. */
static void much_is_written(void **state)
{
	struct volume_wish w = wish(sandbox_ext4("large.img", 440));
	struct volume v;
	char path[64];

	attach(&w, &v);
	need_limit(&v);
	sandbox_run("timeout 120 dd if=/dev/zero of=mnt/much bs=1M count=340");
	snprintf(path, sizeof(path), "/sys/block/loop%d/stat", v.loop);
	/* The seventh number: sectors written. */
	sandbox_run("awk '{ exit $7 < 65536 }' %s", path);
	/* And a few bytes after a time of nothing. */
	sandbox_run("sync -f mnt && timeout 60 dd if=/dev/zero of=mnt/few bs=4k count=4 conv=fsync");
	detach(&v);
	sandbox_run("rm large.img");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unwritten_is_limited),
		cmocka_unit_test(nothing_to_limit),
		cmocka_unit_test(unlimited_after_failure),
		cmocka_unit_test(much_is_written),
	};

	sandbox_require();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, sandbox_setup, sandbox_teardown);
}
