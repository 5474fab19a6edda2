/*
 * Which filesystems can be mounted here, and by what.
 */
#include <config.h>

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/volume_priv.h"
#include "blob/base/cleanup.h"

/*
 * FAT has no FUSE driver here: Debian's fusefat is a proof of concept that fails
 * on ordinary volumes. xfs gets nouuid, since a snapshot or a copy of a drive
 * carries the UUID of the original, and the lease keeps one drive from being
 * mounted twice.
 */
static const struct volume_fs known[] = {
	{ "ext2", "ext2", "fuse2fs", "fuse2fs", NULL },
	{ "ext3", "ext3", "fuse2fs", "fuse2fs", NULL },
	{ "ext4", "ext4", "fuse2fs", "fuse2fs", NULL },
	{ "xfs", "xfs", NULL, NULL, "nouuid" },
	{ "btrfs", "btrfs", NULL, NULL, NULL },
	{ "vfat", "vfat", NULL, NULL, NULL },
	{ "exfat", "exfat", "mount.exfat-fuse", "exfat-fuse", NULL },
	{ "ntfs", "ntfs3", "ntfs-3g", "ntfs-3g", NULL },
	{ "squashfs", "squashfs", NULL, NULL, NULL },
	{ "erofs", "erofs", NULL, NULL, NULL },
	{ "iso9660", "iso9660", NULL, NULL, NULL },
};

const struct volume_fs *volume_fs_find(const char *type)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (!strcmp(known[i].type, type))
			return &known[i];
	return NULL;
}

static bool registered(const char *name)
{
	FILE *f = fopen("/proc/filesystems", "re");
	char line[128];
	bool found = false;

	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		char *tab = strchr(line, '\t');

		line[strcspn(line, "\n")] = '\0';
		found = tab && !strcmp(tab + 1, name);
	}
	fclose(f);
	return found;
}

static void load_module(const char *name)
{
	char *const argv[] = { (char *)"modprobe", (char *)"-q", (char *)"--", (char *)name, NULL };
	char path[] = "PATH=/usr/sbin:/sbin:/usr/bin:/bin";
	char *const envp[] = { path, NULL };
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, envp))
		return;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

bool volume_fs_in_kernel(const struct volume_fs *fs)
{
	if (registered(fs->kernel))
		return true;
	if (geteuid() != 0)
		return false;
	load_module(fs->kernel);
	return registered(fs->kernel);
}

bool volume_fs_in_fuse(const struct volume_fs *fs, char *path, size_t size)
{
	static const char *const dirs[] = { "/usr/local/bin", "/usr/bin", "/bin",
					    "/usr/local/sbin", "/usr/sbin", "/sbin" };

	for (size_t i = 0; fs->fuse && i < ARRAY_LEN(dirs); i++) {
		snprintf(path, size, "%s/%s", dirs[i], fs->fuse);
		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

int volume_fs_missing(const char *what, const struct volume_part *part, bool kernel_allowed,
		      struct err *err)
{
	const struct volume_fs *fs = volume_fs_find(part->type);

	if (!fs)
		return err_set(err, ERR_UNSUPPORTED, "%s: its filesystem is %s, for which there is no "
			       "driver; --raw gives the bare disk", what, part->type);
	if (fs->fuse && kernel_allowed)
		return err_set(err, ERR_UNSUPPORTED, "%s: its filesystem is %s, and there is no driver "
			       "here: the kernel has no module %s and %s is not installed; install the "
			       "package %s", what, part->type, fs->kernel, fs->fuse, fs->package);
	if (fs->fuse)
		return err_set(err, ERR_UNSUPPORTED, "%s: its filesystem is %s, and %s is not installed; "
			       "install the package %s", what, part->type, fs->fuse, fs->package);
	if (kernel_allowed)
		return err_set(err, ERR_UNSUPPORTED, "%s: its filesystem is %s, and there is no driver "
			       "here: the kernel has no module %s; use a kernel that has it, or --raw for "
			       "the bare disk", what, part->type, fs->kernel);
	return err_set(err, ERR_UNSUPPORTED, "%s: its filesystem is %s, which only the kernel's driver "
		       "can mount, and that takes root; mount it as root, or --raw for the bare disk",
		       what, part->type);
}
