#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/volume.h"
#include "blob/base/cleanup.h"
#include "tests/unit/sandbox.h"
#include "tests/unit/volume_rig.h"

static struct volume_table table;

static const struct volume_part *choose(const char *image, int wanted, struct err *err)
{
	err_clear(err);
	if (volume_probe(image, &table, err) < 0)
		fail_msg("%s", err->msg);
	return volume_choose(&table, wanted, "drive.vhd", err);
}

/* `disk` with the partitions of an sfdisk script, and `fs` put into one of them. */
static const char *partitioned(const char *name, const char *script, const char *fs,
			       unsigned at_mib)
{
	sandbox_run("truncate -s 400M %s && printf '%s' | sfdisk -q %s && "
		    "dd if=%s of=%s bs=1M seek=%u conv=notrunc,sparse status=none",
		    name, script, name, fs, name, at_mib);
	return sandbox_path("%s", name);
}

static void probe_whole_disk(void **state)
{
	struct err err;
	const struct volume_part *p = choose(sandbox_ext4("whole.img", 16), 0, &err);

	assert_non_null(p);
	assert_string_equal(p->type, "ext4");
	assert_string_equal(p->label, "first");
	assert_int_equal(p->number, 0);
	assert_int_equal(p->offset, 0);
	assert_int_equal(p->size, 16 << 20);
	assert_null(choose(sandbox_path("whole.img"), 1, &err));
	assert_string_equal(err.msg,
			    "drive.vhd: no partition 1: the disk has no partition table");
}

static void probe_mbr_xfs(void **state)
{
	struct err err;
	const struct volume_part *p;

	sandbox_run("truncate -s 320M xfs.img && mkfs.xfs -q xfs.img");
	p = choose(partitioned("mbr.img", "label: dos\\nstart=1MiB,size=320MiB\\n", "xfs.img", 1), 0,
		   &err);
	assert_non_null(p);
	assert_string_equal(table.scheme, "dos");
	assert_string_equal(p->type, "xfs");
	assert_int_equal(p->number, 1);
	assert_int_equal(p->offset, 1 << 20);
	assert_int_equal(p->size, 320 << 20);
}

static void probe_gpt_second(void **state)
{
	struct err err;
	const struct volume_part *p;

	sandbox_ext4("ext4.img", 16);
	p = choose(partitioned("gpt.img", "label: gpt\\nstart=1MiB,size=8MiB\\nsize=16MiB\\n",
			       "ext4.img", 9),
		   0, &err);
	assert_non_null(p);
	assert_string_equal(table.scheme, "gpt");
	assert_int_equal(p->number, 2);
	assert_int_equal(p->offset, 9 << 20);
	assert_null(choose(sandbox_path("gpt.img"), 1, &err));
	assert_string_equal(err.msg, "drive.vhd: no filesystem in partition 1 (it holds nothing that is "
				     "known); --raw gives the bare disk");
	assert_null(choose(sandbox_path("gpt.img"), 7, &err));
	assert_string_equal(err.msg, "drive.vhd: no partition 7; there are: 1: unknown, 8.0 MiB; "
				     "2: ext4, 16 MiB, \"first\"");
}

static void probe_several(void **state)
{
	struct err err;

	sandbox_ext4("ext4.img", 16);
	partitioned("both.img", "label: gpt\\nstart=1MiB,size=16MiB\\nsize=16MiB\\n", "ext4.img", 1);
	sandbox_run("dd if=ext4.img of=both.img bs=1M seek=17 conv=notrunc status=none");
	assert_null(choose(sandbox_path("both.img"), 0, &err));
	assert_int_equal(err.code, ERR_USAGE);
	assert_string_equal(err.msg, "drive.vhd: several partitions hold a filesystem (1: ext4, 16 MiB, "
				     "\"first\"; 2: ext4, 16 MiB, \"first\"); choose one with "
				     "--partition N");
	assert_int_equal(choose(sandbox_path("both.img"), 2, &err)->number, 2);
}

static void probe_nothing(void **state)
{
	struct err err;

	sandbox_run("truncate -s 8M empty.img && truncate -s 8M swap.img && mkswap -q swap.img");
	assert_null(choose(sandbox_path("empty.img"), 0, &err));
	assert_int_equal(err.code, ERR_FORMAT);
	assert_string_equal(err.msg, "drive.vhd: no filesystem found on the disk, and no partition "
				     "table; --raw gives the bare disk, to make one with mkfs");
	assert_null(choose(sandbox_path("swap.img"), 0, &err));
	assert_string_equal(err.msg, "drive.vhd: no filesystem found on the disk (0: swap, 8.0 MiB); "
				     "--raw gives the bare disk");
}

/* --- attaching --- */

static void kernel_volume(void **state)
{
	struct volume_wish w = wish(sandbox_ext4("attach.img", 16));
	struct volume v;
	char path[64];

	attach(&w, &v);
	assert_int_equal(v.driver, VOLUME_KERNEL);
	assert_string_equal(v.filesystem, "ext4");
	assert_int_equal(sandbox_loops(), 1);
	sandbox_run("grep -q hello mnt/hello.txt && echo written >mnt/new");
	sandbox_run("findmnt -no OPTIONS mnt | grep nosuid | grep nodev | grep -w rw");
	snprintf(path, sizeof(path), "/sys/block/loop%d/loop/dio", v.loop);
	sandbox_run("test $(cat %s) = 1", path);
	snprintf(path, sizeof(path), "/sys/block/loop%d/queue/read_ahead_kb", v.loop);
	sandbox_run("test $(cat %s) = 16384", path);
	detach(&v);
	sandbox_run("e2fsck -fn attach.img && debugfs -R 'cat new' attach.img | grep written");
}

static void partition_and_options(void **state)
{
	struct volume_wish w = wish(sandbox_path("gpt.img"));
	struct volume v;

	w.options = "noatime,data=ordered";
	w.read_only = true;
	attach(&w, &v);
	assert_int_equal(v.partition, 2);
	sandbox_run("findmnt -no OPTIONS mnt | grep noatime | grep -w ro && test -e mnt/hello.txt");
	assert_int_not_equal(sandbox_try("touch mnt/no"), 0);
	detach(&v);
}

static void xfs_copies_side_by_side(void **state)
{
	struct volume_wish w = wish(sandbox_path("mbr.img")), other;
	struct volume v, second;

	attach(&w, &v);
	sandbox_run("cp --sparse=always mbr.img copy.img && mkdir mnt2");
	other = wish(sandbox_path("copy.img"));
	other.mountpoint = sandbox_path("mnt2");
	other.snapshot = true;
	attach(&other, &second);
	sandbox_run("findmnt -no OPTIONS mnt2 | grep -w ro");
	assert_int_equal(volume_detach(&second, false, &(struct err){ .code = 0 }, NULL), 0);
	assert_true(volume_wait_released(&second, 10000));
	detach(&v);
}

static void bad_options(void **state)
{
	struct volume_wish w = wish(sandbox_path("attach.img"));
	struct volume v;
	struct err err;

	w.options = "bind";
	assert_int_equal(volume_attach(&w, &v, &err), -1);
	assert_string_equal(err.msg, "mount option bind is not for drives");
	w.options = "nosuchoption=7";
	assert_int_equal(volume_attach(&w, &v, &err), -1);
	assert_non_null(strstr(err.msg, "drive.vhd: the kernel's ext4 driver refused the volume or one of "
					"the options \"nosuchoption=7\""));
	assert_int_equal(sandbox_loops(), 0);
	assert_int_equal(sandbox_mounts(), 0);
}

static void busy_volume(void **state)
{
	struct volume_wish w = wish(sandbox_path("attach.img"));
	struct volume v;
	struct err err, unsynced;
	char expected[4300], name[32];
	pid_t pid;

	attach(&w, &v);
	pid = sit_in(sandbox_path("mnt"));
	assert_int_equal(volume_detach(&v, false, &unsynced, &err), -1);
	assert_int_equal(err.code, ERR_BUSY);
	snprintf(name, sizeof(name), "%.15s", program_invocation_short_name);
	snprintf(expected, sizeof(expected), "%s is in use by %s (%d); end that, or use --lazy",
		 w.mountpoint, name, (int)pid);
	assert_string_equal(err.msg, expected);
	assert_true(volume_mounted(&v));

	assert_int_equal(volume_detach(&v, true, &unsynced, &err), 0);
	assert_false(volume_mounted(&v));
	assert_false(volume_released(&v));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_true(volume_wait_released(&v, 10000));
	assert_int_equal(sandbox_loops(), 0);
}

static void below_is_busy(void **state)
{
	struct volume_wish w = wish(sandbox_path("attach.img"));
	struct volume v;
	struct err err, unsynced;

	attach(&w, &v);
	sandbox_run("mkdir -p mnt/sub && mount -t tmpfs none mnt/sub");
	assert_int_equal(volume_detach(&v, false, &unsynced, &err), -1);
	assert_non_null(strstr(err.msg, "is in use by the mounts at "));
	assert_non_null(strstr(err.msg, "/mnt/sub"));
	sandbox_run("umount mnt/sub");
	detach(&v);
}

static void fuse_volume(void **state)
{
	struct volume_wish w;
	struct volume v;

	sandbox_need("ntfs-3g");
	sandbox_run("truncate -s 16M ntfs.img && mkntfs -q -F -f -L win ntfs.img");
	w = wish(sandbox_path("ntfs.img"));
	/* This kernel may have ntfs3; a user gets the FUSE driver in any case. */
	w.kernel_allowed = false;
	attach(&w, &v);
	assert_int_equal(v.driver, VOLUME_FUSE);
	assert_true(v.helper > 0);
	assert_int_equal(sandbox_loops(), 0);
	sandbox_run("echo written >mnt/new && findmnt -no OPTIONS mnt | grep nosuid | grep nodev");
	detach(&v);
	w.snapshot = true;
	attach(&w, &v);
	sandbox_run("grep -q written mnt/new && ! touch mnt/other");
	detach(&v);
}

static void fuse_driver_says_why(void **state)
{
	struct volume_wish w;
	struct volume v;
	struct err err;

	sandbox_need("ntfs-3g");
	sandbox_run("cp ntfs.img cut.img && truncate -s 1M cut.img");
	w = wish(sandbox_path("cut.img"));
	w.kernel_allowed = false;
	assert_int_equal(volume_attach(&w, &v, &err), -1);
	assert_non_null(strstr(err.msg, "drive.vhd: ntfs-3g could not mount the volume: "));
	assert_null(strstr(err.msg, "does not say why"));
	assert_int_equal(sandbox_mounts(), 0);
}

static void no_driver(void **state)
{
	struct volume_wish w;
	struct volume v;
	struct err err;

	sandbox_run("truncate -s 64M fat.img && mkfs.vfat fat.img && truncate -s 8M minix.img && "
		    "mkfs.minix minix.img");
	w = wish(sandbox_path("fat.img"));
	w.kernel_allowed = false;
	assert_int_equal(volume_attach(&w, &v, &err), -1);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_string_equal(err.msg, "drive.vhd: its filesystem is vfat, which only the kernel's driver can "
				     "mount, and that takes root; mount it as root, or --raw for the bare "
				     "disk");
	w = wish(sandbox_path("minix.img"));
	assert_int_equal(volume_attach(&w, &v, &err), -1);
	assert_string_equal(err.msg, "drive.vhd: its filesystem is minix, for which there is no driver; "
				     "--raw gives the bare disk");
	assert_int_equal(sandbox_loops(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(probe_whole_disk),
		cmocka_unit_test(probe_mbr_xfs),
		cmocka_unit_test(probe_gpt_second),
		cmocka_unit_test(probe_several),
		cmocka_unit_test(probe_nothing),
		cmocka_unit_test(kernel_volume),
		cmocka_unit_test(partition_and_options),
		cmocka_unit_test(xfs_copies_side_by_side),
		cmocka_unit_test(bad_options),
		cmocka_unit_test(busy_volume),
		cmocka_unit_test(below_is_busy),
		cmocka_unit_test(fuse_volume),
		cmocka_unit_test(fuse_driver_says_why),
		cmocka_unit_test(no_driver),
	};

	sandbox_require();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, sandbox_setup, sandbox_teardown);
}
