/* A kernel filesystem on a loop device on a drive's file, over a disk in memory. */
#include <config.h>

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "blob/base/log.h"
#include "drive_fixture.h"

static void with_loop_device(void **state)
{
	static const char script[] =
		"set -e; cd /; disk=$1; mnt=$2; mkdir $mnt;"
		"dev=$(losetup --show --find --direct-io=on \"$disk\");"
		"trap 'umount $mnt 2>/dev/null || :; losetup -d $dev; rmdir $mnt' EXIT;"
		"mkfs.ext4 -q $dev; mount $dev $mnt;"
		"dd if=/dev/urandom of=$mnt/a bs=1M count=20 status=none; sum=$(sha256sum <$mnt/a);"
		"sync -f $mnt; umount $mnt; mount $dev $mnt;"
		"test \"$sum\" = \"$(sha256sum <$mnt/a)\"; rm $mnt/a; fstrim $mnt; umount $mnt; e2fsck -fn $dev >/dev/null 2>&1";
	struct fixture fx;
	struct disk_stats stats;
	char command[2048];

	start(&fx);
	fake_disk_delay(fx.disk, 1);
	snprintf(command, sizeof(command), "sh -c '%s' sh %s %s.mnt", "eval \"$SCRIPT\"", fx.path, fx.dir);
	setenv("SCRIPT", script, 1);
	assert_int_equal(system(command), 0);
	disk_stats(fx.disk, &stats);
	assert_true(stats.flushes > 0);
	assert_true(stats.clears > 0);
	stop(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(with_loop_device) };

	if (geteuid() != 0 || access("/dev/loop-control", F_OK) < 0 ||
	    system("command -v losetup mkfs.ext4 >/dev/null")) {
		printf("1..0 # SKIP needs root, loop devices and mkfs.ext4\n");
		return 0;
	}
	if (!fixture_can_mount())
		return 0;
	log_init("test-drive-loop", LOG_LEVEL_ERROR);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
