#include <config.h>

#include "drive_fixture.h"

#include "unit.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* In a namespace of our own: one that somebody else makes meanwhile would take a
 * copy of our mounts along and keep them alive. */
bool fixture_can_mount(void)
{
	if (access("/dev/fuse", R_OK | W_OK) < 0) {
		printf("1..0 # SKIP /dev/fuse can't be opened here\n");
		return false;
	}
	if (geteuid() == 0 &&
	    (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0))
		perror("a mount namespace of our own");
	return true;
}

/* What the test that runs has mounted, for when it fails. */
static struct fixture live;

static void on_ended(void *arg)
{
	struct fixture *fx = arg;

	atomic_fetch_add(&fx->ended, 1);
}

void start_with(struct fixture *fx, bool read_only, bool allow_other, unsigned max_io)
{
	struct drive_fuse_options o = { .dir = fx->dir, .source = "acc/con,t%/a\\b c", .read_only = read_only,
					.allow_other = allow_other, .ended = on_ended, .arg = fx };
	struct err err;

	memset(fx, 0, sizeof(*fx));
	strcpy(fx->dir, "/tmp/test-drive-fuse.XXXXXX");
	assert_non_null(mkdtemp(fx->dir));
	snprintf(fx->path, sizeof(fx->path), "%s/disk", fx->dir);
	fx->disk = fake_disk_new(SIZE, max_io);
	fx->fuse = drive_fuse_mount(fx->disk, &o, &err);
	if (!fx->fuse)
		fail_msg("%s", err.msg);
	live = *fx;
}

void start(struct fixture *fx)
{
	start_with(fx, false, false, MIB);
}

void finish(struct fixture *fx)
{
	live.fuse = NULL;
	disk_close(fx->disk, NULL);
	drive_fuse_free(fx->fuse);
}

void stop(struct fixture *fx)
{
	assert_true(drive_fuse_unmount(fx->fuse, 5000));
	finish(fx);
	assert_int_equal(rmdir(fx->dir), 0);
}

/* A failed test leaves its file open. Whoever ends like that, and would have to
 * serve it himself, never ends: the connection must go first. */
int clean_up(void **state)
{
	if (live.fuse) {
		struct fixture left = live;

		drive_fuse_unmount(left.fuse, 0);
		finish(&left);
		rmdir(left.dir);
	}
	return 0;
}

int open_disk(const struct fixture *fx, int flags)
{
	int fd = open(fx->path, flags | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

bool all_are(const unsigned char *p, unsigned char c, size_t len)
{
	while (len--)
		if (*p++ != c)
			return false;
	return true;
}
