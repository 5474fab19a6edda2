#include <config.h>

#include "footer_image.h"

#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob/base/cleanup.h"

const uint8_t uuid[16] = { 0x12, 0x34, 0x56, 0x78, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20 };

int setup(void **state)
{
	static char folder[64];

	strcpy(folder, "/tmp/test-footer.XXXXXX");
	*state = mkdtemp(folder);
	return *state ? 0 : -1;
}

int run(const char *fmt, ...)
{
	char command[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	return system(command);
}

int teardown(void **state)
{
	return run("rm -rf '%s'", (char *)*state);
}

int open_image(const char *folder, const char *name, char *path, size_t size)
{
	snprintf(path, size, "%s/%s", folder, name);
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

int make_image(const char *folder, uint64_t disk_size, size_t len, char *path, size_t size)
{
	uint8_t f[VHD_FOOTER_SIZE];
	int fd = open_image(folder, "image.vhd", path, size);

	vhd_footer_build(f, disk_size, uuid, 1);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, f, len, (off_t)disk_size), (ssize_t)len);
	return fd;
}

int check_path(const char *path, struct vhd_footer *out, struct err *err)
{
	uint8_t footer[VHD_FOOTER_SIZE];
	uint64_t image_size;
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return vhd_footer_of_file(fd, path, out, footer, &image_size, err);
}
