/* footer_image.h - image files in a folder of their own, for the tests of the VHD
 * footer. */
#ifndef HPCPACK_TESTS_FOOTER_IMAGE_H
#define HPCPACK_TESTS_FOOTER_IMAGE_H

#include <stddef.h>

#include "vhd/footer.h"

#define MIB (UINT64_C(1) << 20)

extern const uint8_t uuid[16];

/* cmocka's: *state is the folder. */
int setup(void **state);
int teardown(void **state);

/* A command of the shell; its status. */
int run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Open or make FOLDER/NAME; `path` gets its name. */
int open_image(const char *folder, const char *name, char *path, size_t size);

/* What we build, in a sparse file, with its footer cut to `len` bytes. */
int make_image(const char *folder, uint64_t disk_size, size_t len, char *path, size_t size);

/* vhd_footer_of_file() on a path. */
int check_path(const char *path, struct vhd_footer *out, struct err *err);

#endif
