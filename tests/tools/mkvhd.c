/*
 * mkvhd RAW - turn a raw disk image into a fixed VHD in place, with the footer
 * that vhd/footer.c writes. Tests use it beside qemu-img, so that neither
 * writer's habits are taken for the format.
 */
#include <config.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "vhd/footer.h"

#define SECONDS_1970_TO_2000 946684800

int main(int argc, char **argv)
{
	uint8_t footer[VHD_FOOTER_SIZE], uuid[16];
	cleanup_close int fd = -1;
	struct stat st;

	if (argc != 2) {
		fprintf(stderr, "usage: mkvhd RAW\n");
		return 2;
	}
	fd = open(argv[1], O_WRONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		perror(argv[1]);
		return 1;
	}
	if (st.st_size == 0 || st.st_size % 512) {
		fprintf(stderr, "mkvhd: %s: size is not a multiple of 512 bytes\n", argv[1]);
		return 1;
	}
	if (getrandom(uuid, sizeof(uuid), 0) != sizeof(uuid)) {
		perror("getrandom");
		return 1;
	}
	vhd_footer_build(footer, (uint64_t)st.st_size, uuid,
			 (uint32_t)(time(NULL) - SECONDS_1970_TO_2000));
	if (pwrite(fd, footer, sizeof(footer), st.st_size) != sizeof(footer)) {
		perror(argv[1]);
		return 1;
	}
	return 0;
}
